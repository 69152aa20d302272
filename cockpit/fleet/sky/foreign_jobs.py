"""Find jobs on a cluster that this session did not submit."""

from collections.abc import Iterable

from cockpit.fleet.sky.jobs import JobRow
from cockpit.fleet.sky.parts import SessionIdentity
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
