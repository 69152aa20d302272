"""Collect the findings from before a session: of earlier sessions beside it, and of the files that a person gave.

Earlier sessions are read only, and their number and size are bounded. One that cannot be read is named and left out.
"""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import msgspec

from cockpit.audit.results_file import History
from cockpit.core.agent_events import PriorTaken
from cockpit.core.events import Event, Said, SessionCreated
from cockpit.core.model import Value
from cockpit.core.prior import PriorFinding, PriorKind
from cockpit.core.session import Session
from cockpit.core.state import State
from cockpit.create.prior_file import file_findings
from cockpit.read.prior import code_change, findings_of
from cockpit.read.wording import count
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.variant.code_changes import CodeParts, code_parts
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore

FOLDERS_READ = 60
SESSIONS_READ = 8
"""The newest sessions of the repository whose findings are taken."""
EVENTS_BYTES = 512 << 20
"""The largest stream of events of a session that is read."""
FINDINGS_AT_MOST = 80
FULL_NAME_CHARS = 40


def prior_events(
    folder: SessionFolder,
    session: Session,
    store: VariantStore,
    texts: Mapping[str, str],
    files: Iterable[str],
    at: float,
) -> list[Event]:
    """Return the event with the findings from before the session, and a note for the person. Raises CreateError.

    `texts` are the editable files of the baseline by path.
    """
    found, words = _earlier(folder, session)
    code = _Code(session, store, texts)
    given: list[PriorFinding] = []
    for name in files:
        given += file_findings(Path(name).expanduser(), session.metric, session.constants, code.constants_at)
    taken = [code.checked(finding) for finding in (*given, *found)][:FINDINGS_AT_MOST]
    events: list[Event] = [PriorTaken(at=at, findings=taken)] if taken else []
    if taken:
        words.insert(0, f"memory: {_counted(taken)}; tried first, and no evidence here")
    return [*events, *(Said(at=at, author="cockpit", text=word) for word in words)]


def _earlier(folder: SessionFolder, session: Session) -> tuple[list[PriorFinding], list[str]]:
    """Return the findings of the sessions beside this one, the newest first, and the words on those left out."""
    found: list[PriorFinding] = []
    words: list[str] = []
    told = 0
    for other in _beside(folder):
        if told == SESSIONS_READ:
            break
        try:
            state = _state_of(other, session)
        except (LedgerError, OSError) as error:
            reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
            words.append(f"memory: session {other.name} is left out: {reason}")
            continue
        if isinstance(state, str):
            if state:
                words.append(f"memory: session {other.name} is left out: {state}")
            continue
        those = findings_of(state)
        told += bool(those)
        found += those
    return found, words


def _beside(folder: SessionFolder) -> list[SessionFolder]:
    """Return the other sessions in the folder around this one, the one made last first."""
    try:
        others = [path for path in folder.root.parent.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []
    stamped = [(path.stat().st_mtime, path) for path in others if path.is_dir() and path.name != folder.name]
    return [SessionFolder(path) for _, path in sorted(stamped, reverse=True)[:FOLDERS_READ]]


def _state_of(other: SessionFolder, session: Session) -> State | str:
    """Return the state of a session, or why it has no findings; an empty text for a session of other code.

    Raises LedgerError or OSError.
    """
    if not os.access(other.root, os.R_OK | os.X_OK):
        return "its folder may not be read by you"
    if not other.events.exists():
        return "an older cockpit ran it last: `cockpit open` once makes it readable" if other.ledger.exists() else ""
    if other.events.stat().st_size > EVENTS_BYTES:
        return f"it has more than {EVENTS_BYTES >> 20} MB of events"
    reader = LedgerReader(other)
    try:
        first = reader.since(0, 1)
        if not first or not isinstance(first[0], SessionCreated):
            return ""
        made = first[0].session
        if made.repo != session.repo or made.fleet.simulated is not session.fleet.simulated:
            return ""
        if (made.metric.name, made.metric.is_higher_better) != (session.metric.name, session.metric.is_higher_better):
            return f"it measures {made.metric.name}, {made.metric.better}"
        if made.editable != session.editable:
            return f"it changes {' and '.join(made.editable)}"
        return reader.glance()
    finally:
        reader.close()


class _Code:
    """The code that findings were made in, beside the baseline's."""

    def __init__(self, session: Session, store: VariantStore, texts: Mapping[str, str]) -> None:
        self._session = session
        self._store = store
        self._new = code_parts(_python_of(texts))
        self._commit_of = cache(self._find_commit)
        self._parts_at = cache(self._read_parts)

    def checked(self, finding: PriorFinding) -> PriorFinding:
        """Return the finding with how the code under it has changed."""
        if not (finding.constants or finding.before or finding.edits):
            return finding
        old = self._parts_at(finding.commit)
        return msgspec.structs.replace(
            finding, code_changed=code_change(finding, self._session.constants, old, self._new)
        )

    def constants_at(self, commit: str) -> Mapping[str, Value] | None:
        full = self._commit_of(commit)
        try:
            return self._store.constants(full) if full else None
        except VariantError:
            return None

    def _find_commit(self, commit: str) -> str:
        try:
            return commit if len(commit) == FULL_NAME_CHARS else self._full_name(commit)
        except VariantError:
            return ""

    def _full_name(self, commit: str) -> str:
        history = History(Path(self._session.repo))
        try:
            return history.full_name(commit)
        finally:
            history.close()

    def _read_parts(self, commit: str) -> CodeParts | None:
        full = self._commit_of(commit)
        try:
            return code_parts(_python_of(self._store.texts(full))) if full else None
        except VariantError:
            return None


def _python_of(texts: Mapping[str, str]) -> str:
    """Return the Python files as one text; the other files if there are none."""
    python = [text for path, text in texts.items() if path.endswith(".py")]
    return "\n".join(python or texts.values())


_NOUNS = {
    PriorKind.KEPT: "kept change",
    PriorKind.EFFECT: "effect",
    PriorKind.CRASH: "crash",
    PriorKind.FINDING: "finding",
    PriorKind.CLAIM: "claim",
}


def _counted(findings: Iterable[PriorFinding]) -> str:
    """Return `session night1 (2 kept changes, 1 crash), results.tsv (3 claims)`."""
    sources: dict[str, dict[str, int]] = {}
    for one in findings:
        counts = sources.setdefault(one.source, {})
        if one.kind in _NOUNS:
            counts[_NOUNS[one.kind]] = counts.get(_NOUNS[one.kind], 0) + 1
    return ", ".join(
        f"{source} ({', '.join(count(number, noun, _many(noun)) for noun, number in counts.items())})"
        for source, counts in sources.items()
    )


def _many(noun: str) -> str:
    return "crashes" if noun == "crash" else f"{noun}s"
