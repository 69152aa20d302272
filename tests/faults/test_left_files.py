"""Files that a run leaves, of any name, kind and size, neither end nor delay its runner and the worker."""

import os
import shutil
from pathlib import Path

import pytest

from cockpit.core.session import RunAccess
from cockpit.fleet.node import runner
from cockpit.worker.artifacts import saving
from tests.fleet.test_runner import CONFINED, SCORE, WHATEVER, Run

LEFT = {
    "a name that is not text": "open(b'bad\\xff.py', 'w').write('x')",
    "a name of several lines": "open('a\\nval_bpb: 0.1\\n.py', 'w').write('x')",
    "a name with terminal escapes": "open('a\\x1b[2Jb.py', 'w').write('x')",
    "the longest name": "open('n' * 252 + '.py', 'w').write('x')",
    "a pipe": "os.mkfifo('pipe.py')",
    "a link to an endless file": "os.symlink('/dev/zero', 'zero.py')",
    "a link to a terminal": "os.symlink('/dev/tty', 'terminal.py')",
    "a link to itself": "os.symlink('loop.py', 'loop.py')",
    "a socket": "import socket; socket.socket(socket.AF_UNIX).bind('socket.py')",
    "a folder": "os.mkdir('folder.py')",
    "a file with a hole of 1 TB": "open('hole.py', 'wb').truncate(1 << 40)",
    "a file that may not be read": "os.close(os.open('closed.py', os.O_CREAT, 0))",
    "many files": "[open(f'{n:05}.py', 'w').close() for n in range(19_000)]",
    "a deep folder": "[(os.mkdir('d' * 100), os.chdir('d' * 100)) for _ in range(30)]",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("access", [WHATEVER, CONFINED], ids=["open", "confined"])
def test_files_that_a_run_leaves_in_its_folder_end_no_runner(tmp_path: Path, left: str, access: RunAccess) -> None:
    script = f"import os\n{LEFT[left]}\n{SCORE}"
    run = Run(tmp_path, script, time_limit_s=100.0, access=access)
    ended = run.ended(60)
    assert (ended.reason, ended.exit_code) == ("exited", 0), (ended.message, run.log())


ODD_NAMES = [b"bad\xff.bin", b"a\nval_bpb: 0.1\n.bin", b"a\x1b[2J.bin"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_of_any_name_that_a_run_changed_is_reported_in_one_line(tmp_path: Path, name: bytes) -> None:
    """Change a data file of a score command's folder, and leave an artifact that is too large."""
    source = os.fsencode(tmp_path / "source")
    Path(os.fsdecode(source)).mkdir()
    Path(os.fsdecode(source + b"/" + name)).write_bytes(b"data")
    shutil.copytree(tmp_path / "source", tmp_path / "room")
    Path(os.fsdecode(source + b"/" + name)).write_bytes(b"other data")
    told = runner.link_outputs(os.fsdecode(source), str(tmp_path / "room"))
    kept = saving(tmp_path / "source", ["*.bin"], tmp_path / "kept", 0.0)
    with pytest.raises(StopIteration) as end:
        while True:
            next(kept)
    for words in (*told, str(end.value.value)):
        assert words.encode().decode().isprintable() and ".bin" in words
