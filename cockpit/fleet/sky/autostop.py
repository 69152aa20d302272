"""The autostop of clusters, which SkyPilot ends after idle minutes: another person may set it."""

from collections.abc import Iterable

from cockpit.fleet.sky.parts import ClusterRecord


class Autostops:
    """Reports each change of an autostop once."""

    def __init__(self, idle_minutes: int) -> None:
        self._idle_minutes = idle_minutes
        self._known: dict[str, tuple[int, bool]] = {}

    def news(self, up: Iterable[tuple[str, ClusterRecord]]) -> list[str]:
        """Return a sentence for each cluster whose autostop was changed. `up` are all that are up, by their names."""
        found = {name: (record.autostop, record.autostop_down) for name, record in up}
        remote = {name: record.name for name, record in up}
        changed = [name for name, now in found.items() if self._known.get(name, now) != now]
        self._known = found
        return [self._sentence(name, remote[name], *found[name]) for name in changed]

    def _sentence(self, name: str, remote: str, minutes: int, down: bool) -> str:
        back = f"`sky autostop {remote} -i {self._idle_minutes} --down` sets it back"
        if minutes < 0:
            return (
                f"somebody turned the autostop of {name} off: without work it is billed until it is taken down; {back}"
            )
        then = "taken down" if down else "stopped"
        return f"somebody set the autostop of {name}: it is {then} after {minutes} min without a job; {back}"
