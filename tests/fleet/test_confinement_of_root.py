"""Promises about what a confined run may ask of the kernel where root starts it, as in a container or on a node."""

from pathlib import Path

import pytest

from cockpit.fleet.node.confinement import Sandbox, Wall, confined
from tests.fleet.test_confinement import attempt, refused, sandbox, usable, wall

__all__ = ["sandbox", "wall"]

MOUNTS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def mount(source, target, kind, flags):
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, None):
        raise OSError(ctypes.get_errno(), "mount")
def unmount(target):
    if libc.umount2(target.encode(), 2):
        raise OSError(ctypes.get_errno(), "umount2")
def write_again(path):
    mount("none", os.path.dirname(path), "none", 32 | 4096)  # MS_REMOUNT | MS_BIND, without MS_RDONLY
    return open(path, "a").write("easy words")
def own_namespaces():
    if libc.unshare(0x10000000 | 0x00020000):  # CLONE_NEWUSER | CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    return True
"""


def mounts(sandbox: Sandbox) -> str:
    (sandbox.folder / "mounts.py").write_text(MOUNTS)
    return "__import__('mounts')"


def test_a_run_has_no_capability(sandbox: Sandbox, wall: Wall) -> None:
    found = attempt(sandbox, wall, "[line.split()[1] for line in open('/proc/self/status') if line.startswith('Cap')]")
    assert isinstance(found, list) and {int(one, 16) for one in found} == {0}


def test_a_run_cannot_make_its_data_writable(sandbox: Sandbox, wall: Wall) -> None:
    data = sandbox.folder.parent / "data" / "corpus.txt"
    assert refused(attempt(sandbox, wall, f"{mounts(sandbox)}.write_again({str(data)!r})"))
    assert data.read_text() == "words"


def test_a_run_cannot_uncover_what_is_hidden(sandbox: Sandbox, wall: Wall, tmp_path: Path) -> None:
    session = tmp_path / "repo" / "sessions" / "night"
    folder = session / "runs" / "e0001.1"
    folder.mkdir(parents=True)
    (session / "ledger.db").write_text("secret")
    inside = Sandbox(folder, (*sandbox.readable, tmp_path / "repo"), hidden=(session,))
    assert refused(attempt(inside, wall, f"{mounts(inside)}.unmount({str(session)!r})"))
    assert refused(attempt(inside, wall, f"open({str(session / 'ledger.db')!r}).read()"))


def test_a_run_cannot_set_what_the_kernel_does(sandbox: Sandbox, wall: Wall) -> None:
    """Write what is there already: with `core_pattern` root's run would start any program outside its wall."""
    for name in ("kernel/core_pattern", "vm/swappiness"):
        same = Path("/proc/sys", name).read_text()
        assert refused(attempt(sandbox, wall, f"open('/proc/sys/{name}', 'w').write({same!r})"))
    assert refused(attempt(sandbox, wall, "open('/proc/sysrq-trigger', 'w').write('h')")), "h prints the keys"


def test_a_run_makes_no_namespaces_with_mounts_of_its_own_and_an_agent_may(sandbox: Sandbox) -> None:
    if not usable(Wall.BUBBLEWRAP) or "--disable-userns" not in confined(["true"], sandbox, Wall.BUBBLEWRAP):
        pytest.skip("bubblewrap cannot forbid namespaces here")
    try_it = f"{mounts(sandbox)}.own_namespaces()"
    assert refused(attempt(sandbox, Wall.BUBBLEWRAP, try_it))
    assert attempt(sandbox._replace(nests=True), Wall.BUBBLEWRAP, try_it) is True


def test_a_run_of_root_still_reads_and_writes_its_own_files(sandbox: Sandbox, wall: Wall) -> None:
    sandbox.folder.chmod(0o700)
    assert attempt(sandbox, wall, "open('model.pt', 'w').write('weights')") == 7
