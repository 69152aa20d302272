"""The sources of the API key, and the places it must not reach."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cockpit.session.api_key import KEY_VARIABLE, KeyHolder, NoKey
from tests.agent.messages_server import KEY
from tests.worker.sessions import ROOT


def key_file(folder: Path, text: str = KEY, mode: int = 0o600) -> str:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert KeyHolder(key_file(tmp_path, "sk-other")).read() == KEY
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert KeyHolder(key_file(tmp_path, "sk-other\n")).read() == "sk-other"


def test_child_processes_do_not_inherit_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    KeyHolder("")
    assert KEY_VARIABLE not in os.environ
    seen = subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True, text=True)
    assert KEY not in seen.stdout


PEEK = """
import sys
for name in ("environ", "mem"):
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            print(name, "holds it" if name == "environ" and b"sk-ant" in file.read() else "opened")
    except OSError as error:
        print(name, "refused")
"""
OTHER_PYTHON = Path("/usr/bin/python3")


def seen_by_another_process(does: str, user: int | None = None) -> str:
    """Return what a process of `user` reads of a process that was started with the key and then runs `does`."""
    python = str(OTHER_PYTHON) if user else sys.executable
    code = (ROOT / "cockpit" / "session" / "api_key.py").read_text()
    code += f"\n{does}\nimport time\nprint('ready', flush=True)\ntime.sleep(60)\n"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), KEY_VARIABLE: KEY}
    identity: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
    with subprocess.Popen([python, "-c", code], env=environment, stdout=subprocess.PIPE, cwd="/", **identity) as shown:
        try:
            assert shown.stdout and shown.stdout.readline() == b"ready\n"
            looks = [python, "-c", PEEK, str(shown.pid)]
            looked = subprocess.run(looks, capture_output=True, text=True, cwd="/", check=True, **identity)
            return str(looked.stdout)
        finally:
            shown.kill()


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="requires /proc")


@on_linux
def test_the_key_leaves_the_environment_that_the_kernel_shows() -> None:
    assert "environ holds it" in seen_by_another_process("pass")
    assert "environ opened" in seen_by_another_process("KeyHolder('')")


@on_linux
@pytest.mark.skipif(os.getuid() == 0 and not OTHER_PYTHON.exists(), reason="root can read every process")
def test_other_processes_of_the_user_cannot_read_the_holder() -> None:
    assert seen_by_another_process("hide()", 64_901 if os.getuid() == 0 else None) == "environ refused\nmem refused\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused_with_a_remedy(tmp_path: Path, mode: int) -> None:
    with pytest.raises(NoKey, match=rf"mode {mode:03o}.*chmod 600"):
        KeyHolder(key_file(tmp_path, mode=mode)).read()


@pytest.mark.parametrize("text", ["", "two words", "sk-\x00", "sk-ü", "line\nline"])
def test_an_invalid_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(NoKey) as refused:
        KeyHolder(key_file(tmp_path, text)).read()
    assert not text or text not in str(refused.value)


def test_the_message_without_a_key_says_how_to_add_one(tmp_path: Path) -> None:
    holder = KeyHolder(str(tmp_path / "none"))
    assert not holder.present()
    with pytest.raises(NoKey, match=rf"set {KEY_VARIABLE} .* or write it to .* with mode 600"):
        holder.read()


def test_a_key_added_later_is_found(tmp_path: Path) -> None:
    holder = KeyHolder(str(tmp_path / "key"))
    key_file(tmp_path)
    assert holder.present() and holder.read() == KEY


def test_the_holder_is_not_printed_copied_or_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    holder = KeyHolder("")
    assert KEY not in repr(holder) and KEY not in str(holder)
    for duplicate in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            duplicate(holder)
