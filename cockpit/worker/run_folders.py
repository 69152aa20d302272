"""Write the folders of runs, a bounded part per tick, so that a large tree does not delay other runs and answers."""

from collections.abc import Generator, Mapping

import msgspec

from cockpit.fleet.base import Job
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore

FILES_A_TICK = 1_000
BYTES_A_TICK = 64 * 2**20


class Written(msgspec.Struct, frozen=True):
    """A job whose folder is complete, or the reason why it cannot be written."""

    job: Job
    problem: OSError | VariantError | None = None


class _Writing(msgspec.Struct):
    job: Job
    rest: Generator[int, None, None]


class RunFolders:
    """The folders that are being written, the oldest first."""

    def __init__(self, store: VariantStore) -> None:
        self._store = store
        self._writing: dict[str, _Writing] = {}
        self._files = FILES_A_TICK
        self._bytes = BYTES_A_TICK

    @property
    def has_work(self) -> bool:
        """Return True if a folder is left to be written at the next tick."""
        return bool(self._writing)

    def has(self, attempt: str) -> bool:
        return attempt in self._writing

    def begin(self, job: Job, commit: str, links: Mapping[str, str]) -> None:
        """Begin to write the tree of a commit into the job's folder. One that was begun is continued."""
        begun = self._writing.get(job.name)
        if begun is not None:
            begun.job = job
            return
        self._writing[job.name] = _Writing(job, self._store.exporting(commit, job.source, links))

    def drop(self, attempt: str) -> None:
        """Remove what was written for an attempt that has ended."""
        writing = self._writing.pop(attempt, None)
        if writing is not None:
            writing.rest.close()

    def new_tick(self) -> None:
        self._files, self._bytes = FILES_A_TICK, BYTES_A_TICK

    def write(self) -> list[Written]:
        """Write the files of one tick. Returns the folders that were completed or failed."""
        ended = []
        for name, writing in list(self._writing.items()):
            if self._files <= 0 or self._bytes <= 0:
                break
            try:
                if self._write_more(writing):
                    continue
                ended.append(Written(writing.job))
            except (OSError, VariantError) as error:
                ended.append(Written(writing.job, error))
            del self._writing[name]
        return ended

    def _write_more(self, writing: _Writing) -> bool:
        """Write files of one folder. Returns True if any are left."""
        for size in writing.rest:
            self._files -= 1
            self._bytes -= size
            if self._files <= 0 or self._bytes <= 0:
                return True
        return False

    def close(self) -> None:
        """Remove incomplete folders: the next worker writes them again."""
        for name in list(self._writing):
            self.drop(name)
