"""Find jobs on a cluster that this session did not submit, and launches that it did not ask for."""

from collections.abc import Iterable

from cockpit.fleet.sky.jobs import JobRow
from cockpit.fleet.sky.parts import ClusterRecord, SessionIdentity
from cockpit.fleet.sky.task import SETUP

NAME_CHARACTERS = 60
"""Characters that are shown of a name that others chose."""


class ForeignJobs:
    """Reports each foreign job once; those found together share a sentence."""

    def __init__(self, cluster: str, session: SessionIdentity) -> None:
        self._cluster, self._session = cluster, session
        self._reported: set[int] = set()

    def news(self, rows: Iterable[JobRow], remote_name: str) -> Iterable[str]:
        """Yield a sentence about the new ones that hold the cluster, by its job table."""
        found = [row for row in rows if not (row.has_ended or row.name == SETUP or row.name.endswith(self._session.id))]
        new = [row for row in found if row.id not in self._reported]
        self._reported = {row.id for row in found}
        if not new:
            return
        first = new[0]
        whose = f" of {first.user[:NAME_CHARACTERS]}" if first.user else ""
        named = f"job {first.id} ({first.name[:NAME_CHARACTERS]}){whose}"
        ends = f"`sky cancel {remote_name} {first.id}` ends it"
        if len(new) > 1:
            yield (
                f"{self._cluster} has {len(new):,} jobs that this session did not submit, the first of them {named}:"
                f" runs wait behind them. {ends}"
            )
        else:
            yield f"{self._cluster} has {named}, which this session did not submit: runs wait behind it. {ends}"


class ForeignLaunches:
    """Reports once each cluster of the session on which somebody launched another task."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def news(self, up: Iterable[tuple[str, ClusterRecord]]) -> list[str]:
        """Return a sentence for each new one. `up` are all that are up, by their names."""
        found = {name: record.name for name, record in up if record.relaunched}
        new = [name for name in found if name not in self._reported]
        self._reported = set(found)
        return [
            f"somebody launched another task on {name} (`sky launch`), whose set-up may have changed what runs find"
            f" there: `sky down {found[name]}` has it launched and set up anew"
            for name in new
        ]
