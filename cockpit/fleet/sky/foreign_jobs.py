"""Find jobs on a cluster that this session did not submit, and launches that it did not ask for."""

from collections.abc import Iterable

from cockpit.fleet.sky.jobs import JobRow
from cockpit.fleet.sky.parts import ClusterRecord, SessionIdentity
from cockpit.fleet.sky.task import SETUP


class ForeignJobs:
    """Tells of each of them once."""

    def __init__(self, cluster: str, session: SessionIdentity) -> None:
        self._cluster, self._session = cluster, session
        self._told: set[int] = set()

    def news(self, rows: Iterable[JobRow], remote_name: str) -> Iterable[str]:
        """Yield a sentence for each new one that holds the cluster, by its job table."""
        for row in rows:
            ours = row.name == SETUP or row.name.endswith(self._session.id)
            if ours or row.has_ended or row.id in self._told:
                continue
            self._told.add(row.id)
            whose = f" of {row.user}" if row.user else ""
            yield (
                f"{self._cluster} has job {row.id} ({row.name}){whose}, which this session did not submit: runs wait"
                f" behind it. `sky cancel {remote_name} {row.id}` ends it"
            )


class ForeignLaunches:
    """Tells once of each cluster of the session that somebody launched another task on."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def news(self, up: Iterable[tuple[str, ClusterRecord]]) -> list[str]:
        """Return a sentence for each new one. `up` are all that are up, by their names."""
        found = {name: record.name for name, record in up if record.relaunched}
        new = [name for name in found if name not in self._told]
        self._told = set(found)
        return [
            f"somebody launched another task on {name} (`sky launch`), whose set-up may have changed what runs find"
            f" there: `sky down {found[name]}` has it launched and set up anew"
            for name in new
        ]
