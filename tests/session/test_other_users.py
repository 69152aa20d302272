"""Another Unix user of the session's group reads it and writes nothing; a stranger reads nothing."""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.session.inbox import Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.session.test_ledger import said

NOBODY = 65534
A_GROUP = 54321


@pytest.fixture
def path() -> Iterator[Path]:
    """Return a ledger's place in a folder of its own that anyone can reach. Each start of pytest closes its folders."""
    with tempfile.TemporaryDirectory(prefix="cockpit-shared-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "night" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """Return a ledger whose files are A_GROUP's."""
    made = Ledger.create(path)
    for each in (path.parent, *path.parent.iterdir()):
        os.chown(each, -1, A_GROUP)
    yield made
    made.close()


as_another = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another Unix user")


def read_as(folder: str) -> LedgerReader:
    return LedgerReader(SessionFolder(Path(folder)))


def as_user(group: int, script: str) -> str:
    """Return the output of `script`, run as a user who is in `group` only."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(NOBODY)
            try:
                said = repr(eval(script, {"Ledger": Ledger, "read": read_as, "Inbox": Inbox, "Path": Path}))
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            os.write(write, said.encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as answer:
        return answer.read().decode()


@as_another
def test_another_user_of_the_group_reads_beside_the_writer_and_writes_nothing(ledger: Ledger, path: Path) -> None:
    ledger.append(said("a"))
    for name in path.parent.iterdir():
        os.chown(name, -1, A_GROUP)
    assert as_user(A_GROUP, f"read({str(path.parent)!r}).last_seq()") == "1"
    assert "cockpit watch" in as_user(A_GROUP, f"Ledger.open(Path({str(path)!r}))")
    inbox = path.with_name("inbox.db")
    Inbox(inbox).open()
    assert "LedgerError" in as_user(A_GROUP, f"Inbox(Path({str(inbox)!r})).put('them', b'approve')")
    assert Inbox(inbox).after(0) == []


@as_another
def test_another_user_of_the_group_reads_a_closed_ledger(ledger: Ledger, path: Path) -> None:
    ledger.append(said("a", "b"))
    ledger.close()
    assert as_user(A_GROUP, f"read({str(path.parent)!r}).last_seq()") == "2"


@as_another
def test_another_user_of_the_group_reads_the_ledger_of_a_killed_worker(ledger: Ledger, path: Path) -> None:
    ledger.close()
    script = f"""
        import os
        from pathlib import Path
        from cockpit.core.events import Said
        from cockpit.session.ledger import Ledger
        ledger = Ledger.open(Path({str(path)!r}))
        ledger.append([Said(at=1.0, author="me", text="about to")])
        os.kill(os.getpid(), 9)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)]).returncode == -9
    for each in path.parent.iterdir():
        os.chown(each, -1, A_GROUP)
    assert as_user(A_GROUP, f"read({str(path.parent)!r}).last_seq()") == "1"


@as_another
def test_another_user_of_the_group_reads_a_copy_of_the_folder(ledger: Ledger, path: Path) -> None:
    ledger.append(said("a", "b"))
    copied = path.parent.with_name("copied")
    shutil.copytree(path.parent, copied)
    for each in (copied, *copied.iterdir()):
        os.chown(each, -1, A_GROUP)
    assert as_user(A_GROUP, f"read({str(copied)!r}).last_seq()") == "2"


@as_another
def test_a_session_of_an_older_cockpit_is_opened_by_its_owner_first(ledger: Ledger, path: Path) -> None:
    ledger.append(said("a", "b"))
    ledger.close()
    path.with_name("events.log").unlink()
    assert "its owner opens it once" in as_user(A_GROUP, f"read({str(path.parent)!r}).last_seq()")
    reader = LedgerReader(SessionFolder(path.parent))
    assert reader.last_seq() == 2
    reader.close()
    os.chown(path.with_name("events.log"), -1, A_GROUP)
    assert as_user(A_GROUP, f"read({str(path.parent)!r}).last_seq()") == "2"


@as_another
def test_a_stranger_reads_nothing(ledger: Ledger, path: Path) -> None:
    assert "LedgerError" in as_user(NOBODY, f"read({str(path.parent)!r}).last_seq()")
