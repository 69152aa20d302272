"""The shares of one SkyPilot cluster: the requests for each, and the reports about the cluster that each gets."""

import threading
from collections.abc import Iterable

import msgspec

from cockpit.core.session import ClusterSpec
from cockpit.core.shares import whole_of
from cockpit.fleet.base import ClusterEnded, ClusterReady, ClusterStep, ClusterTrouble, ClusterWaits, Report
from cockpit.fleet.sky.parts import ClusterRecord, SkyError

ABOUT_CLUSTERS = (ClusterReady, ClusterTrouble, ClusterWaits, ClusterStep, ClusterEnded)


def wholes(specs: Iterable[ClusterSpec]) -> dict[str, list[ClusterSpec]]:
    """Return the session's clusters by the SkyPilot cluster that they are on."""
    found: dict[str, list[ClusterSpec]] = {}
    for spec in specs:
        found.setdefault(whole_of(spec.name), []).append(spec)
    return found


def accelerators_of_run(record: ClusterRecord, shares: int, gpus: int) -> dict[str, float]:
    """Return the accelerators of one of the runs that share a cluster. Raises SkyError if they do not fit on it."""
    if shares == 1:
        return record.accelerators
    if record.gpus < shares * gpus:
        kind = "".join(record.accelerators) or "GPUs"
        said = f"{record.name} has {record.gpus} {kind}, and {shares} runs of {gpus} share it"
        raise SkyError("invalid", f"{said}: a changed experiment.yaml needs a new session")
    return dict.fromkeys(record.accelerators, float(gpus))


class Shares:
    """A cluster is launched when its first share is asked for, and taken down when its last one is not wanted.

    Its methods may be called from any thread.
    """

    def __init__(self, specs: Iterable[ClusterSpec]) -> None:
        specs = list(specs)
        self.names = tuple(spec.name for spec in specs)
        self.gpus = specs[0].gpus
        """GPUs of one run, where there are several shares."""
        self._lock = threading.Lock()
        self._reported: set[str] = set()
        """Those that get reports."""
        self._unwanted: set[str] = set()
        """Those that are to go down, while others keep the cluster up."""
        self._asked: set[str] = set()
        """Those that the launch under way was asked for."""
        self._ready: ClusterReady | None = None

    def launch(self, name: str) -> tuple[bool, Report | None]:
        """Ask for a share. Returns True if the cluster is to be launched for it, and the report if it is up already.

        A share that is asked for twice has its launch asked for again.
        """
        with self._lock:
            self._reported.add(name)
            self._unwanted.discard(name)
            if self._ready is not None:
                return False, self._share_of(self._ready, name)
            joins = bool(self._asked) and name not in self._asked
            self._asked.add(name)
            return not joins, None

    def down(self, name: str) -> bool:
        """Take in that a share is not wanted. Returns True if the cluster is to go down: none of it is wanted."""
        with self._lock:
            self._reported.add(name)
            self._unwanted.add(name)
            if not self._reported <= self._unwanted:
                return False
            self._ready = None
            self._asked.clear()
            return True

    def expect(self, names: Iterable[str]) -> bool:
        """Take in the shares that the ledger has as up. Returns True if there is one."""
        with self._lock:
            self._reported = {name for name in self.names if name in names}
            self._unwanted = set(self.names) - self._reported
            self._asked = set(self._reported)
            return bool(self._reported)

    def reports(self, report: Report) -> list[Report]:
        """Return what a report about the cluster says of each share."""
        if len(self.names) == 1 or not isinstance(report, ABOUT_CLUSTERS):
            return [report]
        with self._lock:
            if isinstance(report, ClusterReady):
                self._ready = report
                self._reported |= set(self.names) - self._unwanted  # one that was not asked for is billed, too
            if isinstance(report, ClusterReady | ClusterTrouble | ClusterEnded):
                self._asked.clear()
            if isinstance(report, ClusterTrouble | ClusterEnded):
                self._ready = None
            reported = [name for name in self.names if name in self._reported]
            if isinstance(report, ClusterReady):
                reported = [name for name in reported if name not in self._unwanted]
            if isinstance(report, ClusterEnded):
                self._reported.clear()
                self._unwanted.clear()
            return [self._share_of(report, name) for name in reported]

    def _share_of(self, report: Report, name: str) -> Report:
        if isinstance(report, ClusterReady):
            usd = report.usd_per_hour / len(self.names)
            return msgspec.structs.replace(report, cluster=name, usd_per_hour=usd, gpus=self.gpus)
        return msgspec.structs.replace(report, cluster=name)
