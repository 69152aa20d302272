"""The Python of a repository's own environment: found, asked of its tool, or made once."""

import os
import shlex
import sys
import venv
from pathlib import Path

import msgspec
import pytest

from cockpit.create.interpreter import Setup, SetupError, find_interpreter, run_setup, setup_of
from cockpit.variant.store import VariantStore
from cockpit.worker.build import uv_environment
from tests.worker.sessions import local_session, repository, session_of


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH for tools; the machine's own tools of these names are out of the way."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def tool(folder: Path, name: str, words: str) -> None:
    """Make a tool that notes how it is called and starts this Python, after `words` of its own."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\nshift {words}; shift\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("file", "name", "words", "called"),
    [
        ("poetry.lock", "poetry", "1", "run python -c"),
        ("pixi.toml", "pixi", "1", "run python -c"),
        ("environment.yml", "conda", "3", "run -n lab python -c"),
        ("environment.yaml", "micromamba", "3", "run -n lab python -c"),
    ],
)
def test_a_tool_is_asked_once_for_its_python(
    tmp_path: Path, tools: Path, file: str, name: str, words: str, called: str
) -> None:
    repo = repository(tmp_path / "repo")
    (repo / file).write_text("name: lab\n")
    tool(tools, name, words)
    found = find_interpreter(repo, tmp_path / "made")
    assert Path(found.python) == Path(sys.executable)
    assert name in found.told
    assert (tools / "calls").read_text().startswith(called)


def test_a_tool_that_is_not_installed_is_named(tmp_path: Path, tools: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / "poetry.lock").write_text("")
    found = find_interpreter(repo, tmp_path / "made")
    assert found.python == ""
    assert found.trouble.startswith("poetry.lock names the environment, and poetry is not installed: install it")


def test_a_tool_that_fails_is_quoted(tmp_path: Path, tools: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / "environment.yml").write_text("name: lab\n")
    (tools / "conda").write_text("#!/bin/sh\necho 'EnvironmentLocationNotFound: lab' >&2\nexit 1\n")
    (tools / "conda").chmod(0o755)
    with pytest.raises(SetupError, match="EnvironmentLocationNotFound: lab"):
        find_interpreter(repo, tmp_path / "made")


def test_an_environment_that_is_there_is_used_as_it_is(tmp_path: Path, tools: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / "uv.lock").write_text("")
    for folder in (".venv", ".pixi/envs/default"):
        (repo / folder / "bin").mkdir(parents=True)
        (repo / folder / "bin" / "python").symlink_to(sys.executable)
    assert find_interpreter(repo, tmp_path / "made").python == str(repo / ".venv/bin/python")
    assert setup_of(repo, (), tmp_path).command == ()


@pytest.mark.parametrize("name", ["venv", "env", ".env"])
def test_a_virtual_environment_of_another_usual_name_is_used(tmp_path: Path, tools: Path, name: str) -> None:
    repo = repository(tmp_path / "repo")
    (repo / name / "bin").mkdir(parents=True)
    (repo / name / "bin" / "python").symlink_to(sys.executable)
    assert find_interpreter(repo, tmp_path / "made").python == ""
    (repo / name / "pyvenv.cfg").touch()
    assert find_interpreter(repo, tmp_path / "made").python == str(repo / name / "bin" / "python")


def test_the_environment_that_uvs_own_variable_names_is_used(
    tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = repository(tmp_path / "repo")
    (tmp_path / "envs" / "lab" / "bin").mkdir(parents=True)
    python = tmp_path / "envs" / "lab" / "bin" / "python"
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path / "envs" / "lab"))
    python.symlink_to(sys.executable)
    assert find_interpreter(repo, tmp_path / "made").python == "", "it is no project of uv"
    (repo / "uv.lock").touch()
    assert find_interpreter(repo, tmp_path / "made").python == str(python)
    assert setup_of(repo, (), tmp_path).command == (), "nothing is made"


@pytest.mark.parametrize(
    ("command", "is_shared"),
    [
        ("uv run train.py", True),
        ("env OMP_NUM_THREADS=1 uv run train.py", True),
        ("sh -c 'cd src && uv run train.py'", True),
        ("python train.py", False),
    ],
)
def test_all_runs_of_uv_share_one_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, is_shared: bool
) -> None:
    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT", raising=False)
    folder = local_session(tmp_path)
    session = msgspec.structs.replace(session_of(folder), run_command=tuple(shlex.split(command)))
    made = {"UV_PROJECT_ENVIRONMENT": str(folder.root / "environment")}
    assert uv_environment(session, folder) == (made if is_shared else {})
    (tmp_path / "repo" / ".venv").mkdir()
    own = {"UV_PROJECT_ENVIRONMENT": str(tmp_path / "repo" / ".venv"), "UV_NO_SYNC": "1"}
    assert uv_environment(session, folder) == (own if is_shared else {})
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path))
    assert uv_environment(session, folder).get("UV_PROJECT_ENVIRONMENT", "") == (str(tmp_path) if is_shared else "")


def test_a_folder_of_a_repository_has_the_environment_above_it(tmp_path: Path, tools: Path) -> None:
    repo = repository(tmp_path / "repo")
    below = repo / "packages" / "a"
    below.mkdir(parents=True)
    (repo / "poetry.lock").write_text("")
    assert find_interpreter(below, tmp_path / "made").trouble.startswith("../../poetry.lock names the environment")
    (repo / ".venv" / "bin").mkdir(parents=True)
    (repo / ".venv" / "bin" / "python").symlink_to(sys.executable)
    assert find_interpreter(below, tmp_path / "made").python == str(repo / ".venv" / "bin" / "python")
    (tmp_path / ".venv").symlink_to(repo / ".venv")
    assert find_interpreter(repository(tmp_path / "other"), tmp_path / "made").python == ""


def made_environment(folder: Path, *modules: str) -> Path:
    """Make an environment as conda lays it out, with modules of these names. Returns its Python."""
    (folder / "conda-meta").mkdir(parents=True)
    (folder / "conda-meta" / "history").touch()
    venv.create(folder, with_pip=False)
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    packages = next((folder / "lib").glob("python3*")) / "site-packages"
    for name in modules:
        (packages / f"{name}.py").touch()
    return folder / "bin" / "python"


@pytest.mark.parametrize("written", ["name: lab\n", "name: other\nprefix: {prefix}\n", "prefix: {prefix}\n"])
def test_an_environment_of_conda_is_used_without_its_program(
    tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    python = made_environment(tmp_path / "envs" / "lab")
    repo = repository(tmp_path / "repo")
    (repo / "environment.yml").write_text(written.format(prefix=tmp_path / "envs" / "lab"))
    if "prefix" not in written:
        monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "envs" / "lab"))
    assert find_interpreter(repo, tmp_path / "made").python == str(python)


@pytest.mark.parametrize("variable", ["CONDA_PREFIX", "VIRTUAL_ENV"])
def test_the_activated_environment_is_used_where_it_alone_has_what_the_script_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("CONDA_PREFIX", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    python = made_environment(tmp_path / "lab", "only_in_lab")
    repo = repository(tmp_path / "repo")
    monkeypatch.setenv(variable, str(tmp_path / "lab"))
    assert find_interpreter(repo, tmp_path / "made").python == ""
    (repo / "helper.py").touch()
    (repo / "train.py").write_text("import only_in_lab\nimport helper\nfrom json import dumps\n")
    found = find_interpreter(repo, tmp_path / "made")
    assert found.python == str(python)
    assert found.told.endswith("Cockpit's own has no only_in_lab")
    (repo / "train.py").write_text("import only_in_lab\nimport in_no_place\n")
    assert find_interpreter(repo, tmp_path / "made").python == ""


def test_uv_makes_one_environment_outside_the_checkout(tmp_path: Path, tools: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / "uv.lock").write_text("1")
    (tools / "uv").write_text('#!/bin/sh\nmkdir -p "$UV_PROJECT_ENVIRONMENT/bin"; echo "$@ in $PWD"\n')
    (tools / "uv").chmod(0o755)
    setup = setup_of(repo, (), tmp_path / "sessions")
    assert setup.command == ("uv", "sync", "--frozen")
    before = sorted(repo.iterdir())
    heard = run(setup, repo)
    assert heard[0].startswith("sync --frozen in ")
    assert setup.is_done
    assert (setup.environment / "bin").is_dir()
    assert sorted(repo.iterdir()) == before
    assert find_interpreter(repo, setup.environment).python == str(setup.environment / "bin" / "python")
    (repo / "uv.lock").write_text("2")
    assert not setup_of(repo, (), tmp_path / "sessions").is_done


def test_a_set_up_that_fails_is_run_again_once_it_is_mended(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    mended = tmp_path / "mended"
    words = ("sh", "-c", f"ls train.py; test -e {mended} || {{ echo no room; exit 3; }}")
    setup = setup_of(repo, words, tmp_path / "sessions")
    with pytest.raises(SetupError, match="ended with exit code 3: no room; mend it"):
        run(setup, repo)
    assert not setup.is_done
    mended.touch()
    assert run(setup, repo) == ["train.py"]
    assert setup.is_done


def test_a_set_up_that_cannot_be_started_is_one_sentence(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    with pytest.raises(SetupError, match="exit code 127: it cannot be started"):
        run(setup_of(repo, ("no-such-program",), tmp_path / "sessions"), repo)


def run(setup: Setup, repo: Path) -> list[str]:
    heard: list[str] = []
    store = VariantStore(repo, "setup")
    try:
        run_setup(setup, repo, store, heard.append)
    finally:
        store.close()
    return heard
