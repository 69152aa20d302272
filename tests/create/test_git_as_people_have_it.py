"""A session runs its baseline in each kind of git repository that people have."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.errors import CockpitError
from cockpit.core.intents import Arm, Draft, Propose, Resume
from cockpit.core.model import Change, ExperimentStatus, Outcome
from cockpit.create.error import CreateError
from cockpit.create.new_session import create
from cockpit.create.plan import Plan
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import NewSession, Settings
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore
from tests.worker.sessions import SCRIPT, end_baseline, git, make, state_of, wait_for

NEW = NewSession(fleet="local", clusters=1, mode="manual", proposer="human")
PRINTS = 'DEPTH = 8\nprint("val_bpb:", {})\n'
A, B = "0.98", "0.97"


def commit(repo: Path, message: str = "work") -> str:
    git(repo, "add", "-A")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", message)
    return git(repo, "rev-parse", "HEAD").strip()


def repository(repo: Path, train: str, **files: str) -> Path:
    """Make a repository with a train.py and other files, `__` for `/` in their names."""
    repo.mkdir(parents=True)
    git(repo, "init", "-q")
    for name, text in {"train.py": train, **{name.replace("__", "/"): text for name, text in files.items()}}.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)
    commit(repo)
    return repo


def baseline(place: Path, repo: Path) -> tuple[Outcome | None, list[float], str]:
    """Run a session's baseline and return its outcome, its scores and its message."""
    state = state_of(end_baseline(make(place, repo, NEW, time.time(), confine=False)))
    attempt = state.attempts["e0000.1"]
    return attempt.outcome, state.experiments["e0000"].scores.get("CPU", []), attempt.message


def refused(place: Path, repo: Path) -> str:
    with pytest.raises(CockpitError) as error:
        make(place, repo, NEW, time.time())
    assert not (place / "sessions" / "night").exists()
    return str(error.value)


def test_submodules_are_in_the_run_nested_ones_too(tmp_path: Path) -> None:
    inner = repository(tmp_path / "inner", "", y="")
    (inner / "y.py").write_text(f"Y = {A}\n")
    commit(inner)
    middle = repository(tmp_path / "middle", "", x="")
    allow = ("-c", "protocol.file.allow=always")
    git(middle, *allow, "submodule", "--quiet", "add", str(inner), "deep")
    commit(middle)
    reads = f'import sys\nsys.path.insert(0, "vendor/lib/deep")\nimport y\n{PRINTS.format("y.Y")}'
    repo = repository(tmp_path / "repo", reads)
    git(repo, *allow, "submodule", "--quiet", "add", str(middle), "vendor/lib")
    commit(repo)
    folder = make(tmp_path / "empty", repo, NEW, time.time())
    said = [message.text for message in state_of(folder).messages if message.kind == "trouble"]
    assert "runs get an empty folder: the submodule 'vendor/lib/deep'. `git submodule update --init" in said[0]
    git(repo, *allow, "submodule", "--quiet", "update", "--init", "--recursive")
    # The run has the recorded commit, whatever is checked out in the submodule.
    (repo / "vendor/lib/deep/y.py").write_text(f"Y = {B}\n")
    assert baseline(tmp_path, repo) == (Outcome.VALID, [float(A)], "")


def test_a_submodule_without_its_recorded_commit_is_refused(tmp_path: Path) -> None:
    inner = repository(tmp_path / "inner", "")
    repo = repository(tmp_path / "repo", PRINTS.format(A))
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "lib")
    git(repo, "add", "-A")
    git(repo, "update-index", "--cacheinfo", f"160000,{'ab' * 20},lib")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "gone")
    assert "The submodule 'lib' does not have its commit abababababab" in refused(tmp_path, repo)


@pytest.mark.parametrize("is_here", [True, False])
def test_files_of_git_lfs_are_in_the_run_or_the_session_is_refused(tmp_path: Path, is_here: bool) -> None:
    content = A.encode()
    digest = sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    reads = PRINTS.format('float(open("data/val.bin").read())')
    repo = repository(
        tmp_path / "repo", reads, data__val="", **{".gitattributes": "data/*.bin filter=lfs diff=lfs merge=lfs -text\n"}
    )
    (repo / "data" / "val.bin").write_text(pointer)
    # This git has no LFS filter: it commits the pointer as it stands, which is what the filter would have made.
    commit(repo)
    stored = repo / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
    if is_here:
        stored.parent.mkdir(parents=True)
        stored.write_bytes(content)
        assert baseline(tmp_path, repo) == (Outcome.VALID, [float(A)], "")
    else:
        assert "Git LFS stores 'data/val.bin', and the content is not here: run `git lfs pull`" in refused(
            tmp_path, repo
        )


def test_a_folder_of_a_monorepo_runs_with_its_neighbours_and_keeps_a_whole_commit(tmp_path: Path) -> None:
    reads = f'import sys\nsys.path.insert(0, "../../common")\nimport shared\n{PRINTS.format("shared.X")}'
    mono = repository(tmp_path / "mono", "", common__shared="")
    (mono / "common" / "shared.py").write_text(f"X = {A}\n")
    project = mono / "projects" / "a"
    project.mkdir(parents=True)
    (project / "train.py").write_text(reads)
    (project / "data").mkdir()
    (mono / ".gitignore").write_text("data/\n")
    first = commit(mono)
    folder = make(tmp_path, project, NEW, time.time(), confine=True)
    end_baseline(folder)
    attempt = state_of(folder).attempts["e0000.1"]
    assert (attempt.outcome, attempt.message) == (Outcome.VALID, "")
    store = VariantStore(project, "night")
    made = store.put("e0001", store.baseline().commit, Change(constants={"DEPTH": 9}), "deeper", at=1.0)
    assert git(mono, "diff", "--stat", "--name-only", first, made.commit).split() == ["projects/a/train.py"]
    assert "DEPTH = 9" in git(mono, "show", f"{made.commit}:projects/a/train.py")
    assert git(mono, "status", "--porcelain") == ""


def test_a_monorepo_s_ignored_data_is_linked_where_the_script_names_it(tmp_path: Path) -> None:
    mono = repository(tmp_path / "mono", "", other="")
    project = mono / "projects" / "a"
    (project / "data").mkdir(parents=True)
    (project / "data" / "val.txt").write_text(A)
    (project / "train.py").write_text(PRINTS.format('float(open("data/val.txt").read())'))
    (mono / ".gitignore").write_text("data/\n")
    commit(mono)
    assert baseline(tmp_path, project) == (Outcome.VALID, [float(A)], "")


def test_an_uncommitted_change_in_a_monorepo_is_taken_from_disk(tmp_path: Path) -> None:
    mono = repository(tmp_path / "mono", "", a__train="")
    (mono / "a" / "train.py").write_text(PRINTS.format(A))
    commit(mono)
    (mono / "a" / "train.py").write_text(PRINTS.format(B))
    folder = make(tmp_path, mono / "a", NEW, time.time(), confine=False)
    state = state_of(end_baseline(folder))
    assert state.experiments["e0000"].scores["CPU"] == [float(B)]
    assert any("train.py has changes that are not committed" in message.text for message in state.messages)
    assert not any("ncommitted changes (" in message.text for message in state.messages)


def shallow(source: Path, clone: Path) -> None:
    git(source, "clone", "-q", "--depth", "1", source.as_uri(), str(clone))


def partial(source: Path, clone: Path) -> None:
    git(source, "config", "uploadpack.allowFilter", "true")
    git(source, "clone", "-q", "--filter=blob:none", "--sparse", source.as_uri(), str(clone))


def borrowed(source: Path, clone: Path) -> None:
    git(source, "clone", "-q", "--shared", str(source), str(clone))


def work_tree(source: Path, clone: Path) -> None:
    git(source, "worktree", "add", "-q", "-b", "mine", str(clone))


@pytest.mark.parametrize("cloned", [shallow, partial, borrowed, work_tree])
def test_clones_of_every_kind_are_run_whole(tmp_path: Path, cloned: Callable[[Path, Path], None]) -> None:
    reads = PRINTS.format('float(open("data/deep/val.txt").read())')
    source = repository(tmp_path / "source", reads, data__deep__val="")
    (source / "data" / "deep" / "val.txt").write_text(A)
    commit(source)
    cloned(source, tmp_path / "clone")
    before = git(tmp_path / "clone", "status", "--porcelain", "--branch")
    assert baseline(tmp_path, tmp_path / "clone") == (Outcome.VALID, [float(A)], "")
    assert git(tmp_path / "clone", "status", "--porcelain", "--branch") == before


def test_a_partial_clone_without_its_remote_names_git_s_remedy(tmp_path: Path) -> None:
    source = repository(tmp_path / "source", PRINTS.format(A), data__deep__val="x")
    partial(source, tmp_path / "clone")
    source.rename(tmp_path / "moved")
    store = VariantStore(tmp_path / "clone", "night")
    with pytest.raises(CockpitError, match=r"partial clone .* run `git fetch --refetch --no-filter` there"):
        store.export(store.head(), tmp_path / "out")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_another_user_s_repository_is_refused_with_git_s_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = repository(tmp_path / "repo", PRINTS.format(A))
    subprocess.run(["chown", "-R", "12345:12345", str(repo)], check=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    assert f"If you trust it: `git config --global --add safe.directory {repo}`" in refused(tmp_path, repo)
    git(repo, "config", "--global", "--add", "safe.directory", str(repo))
    assert make(tmp_path, repo, NEW, time.time()).ledger.exists()


def test_a_tracked_sessions_folder_keeps_its_files_as_they_are(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", PRINTS.format(A), sessions__notes="mine")
    ignored = repo / "sessions" / ".gitignore"
    folder = SessionFolder(repo / "sessions" / "night")
    create(folder, Plan("night", repo, Settings(session=NEW)), time.time())
    assert (repo / "sessions" / "notes").read_text() == "mine"
    assert not ignored.exists()
    assert git(repo, "status", "--porcelain") == ""
    (repo / "sessions" / "later").write_text("also mine")
    assert git(repo, "status", "--porcelain").split() == ["??", "sessions/later"]
    with pytest.raises(CreateError, match="exists and is not a session"):
        (repo / "sessions" / "old").mkdir()
        (repo / "sessions" / "old" / "notes").write_text("mine")
        create(SessionFolder(repo / "sessions" / "old"), Plan("old", repo, Settings(session=NEW)), time.time())


def test_a_committed_link_to_a_disk_is_followed_in_a_confined_run(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "val.txt").write_text(A)
    repo = repository(tmp_path / "repo", PRINTS.format('float(open("data/val.txt").read())'))
    (repo / "data").symlink_to(disk)
    commit(repo)
    folder = make(tmp_path, repo, NEW, time.time(), confine=True)
    attempt = state_of(end_baseline(folder)).attempts["e0000.1"]
    assert (attempt.outcome, attempt.message) == (Outcome.VALID, "")
    shutil.rmtree(disk)
    assert "data leads to" in refused(tmp_path / "again", repo)


def mended(folder: SessionFolder) -> bool:
    state = state_of(folder)
    return state.incumbent == state.baseline == "e0001"


def test_a_baseline_that_crashed_is_mended_committed_and_taken_by_the_next_worker(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", PRINTS.format("1 / 0"))
    folder = make(tmp_path, repo, NEW, time.time(), confine=False)
    worker_process.start(folder)
    wait_for(lambda: state_of(folder).end_reason, 30, "the session to end")
    wait_for(lambda: not state_of(folder).worker_running, 30, "its worker to end")
    (repo / "train.py").write_text(PRINTS.format(A).replace("DEPTH = 8", "WIDTH = 3"))
    fixed = commit(repo, "mend")
    worker_process.start(folder)
    try:
        wait_for(lambda: mended(folder), 60, "the mended baseline")
        state = state_of(folder)
        assert state.experiments["e0000"].status is ExperimentStatus.CRASHED
        assert state.session.commit == state.experiments["e0001"].commit == fixed
        assert state.session.constants == {"WIDTH": 3}
        draft = Draft(proposer="ann", question="wider?", arms=(Arm(Change(constants={"WIDTH": 4})),))
        assert send_and_await(folder, Propose(draft)) is not None
        assert state_of(folder).experiments["e0002"].base == "e0001"
    finally:
        worker_process.terminate(folder)


def test_files_that_could_not_be_written_are_mended_committed_and_resumed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "val.txt").write_text(A)
    reads = PRINTS.format('float(open("data/val.txt").read())')
    inner = repository(tmp_path / "inner", "")
    repo = repository(tmp_path / "repo", reads)
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "lib")
    (repo / "data").mkdir()
    (repo / "data" / "val.txt").write_text(A)
    commit(repo)
    folder = make(tmp_path, repo, NEW, time.time(), confine=False)
    (repo / ".git" / "modules" / "lib" / "objects").rename(tmp_path / "lost")
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).held, 30, "the session to be held")
        assert "mend that, then resume" in state_of(folder).held_reason
        git(repo, "update-index", "--force-remove", "lib")
        shutil.rmtree(repo / "lib")
        commit(repo, "mend")
        send_and_await(folder, Resume())
        wait_for(lambda: mended(folder), 60, "the mended baseline")
        assert state_of(folder).experiments["e0000"].status is ExperimentStatus.DROPPED
    finally:
        worker_process.terminate(folder)


def test_a_crashed_baseline_stays_until_the_code_changes(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", PRINTS.format("1 / 0"))
    folder = make(tmp_path, repo, NEW, time.time(), confine=False)
    for _ in range(2):
        worker_process.start(folder)
        wait_for(lambda: state_of(folder).end_reason, 30, "the session to end")
        wait_for(lambda: not state_of(folder).worker_running, 30, "its worker to end")
    assert list(state_of(folder).experiments) == ["e0000"]


@pytest.mark.parametrize(
    ("link", "target", "named", "said"),
    [
        ("train.py", "src/real.py", "train.py", "train.py in .* is a link to 'src/real.py'.*: name src/real.py with"),
        ("now", "src", "now/real.py", "now in .* is a link to 'src'.*: name src/real.py with --files"),
        ("train.py", "/outside/x.py", "train.py", "copy it into the repository"),
    ],
)
def test_a_link_is_refused_with_the_file_that_it_leads_to(
    tmp_path: Path, link: str, target: str, named: str, said: str
) -> None:
    repo = tmp_path / "repo"
    (repo / "src").mkdir(parents=True)
    (repo / "src" / "real.py").write_text(SCRIPT)
    (repo / link).symlink_to(target)
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    store = VariantStore(repo, "night", files=(named,))
    with closing(store), pytest.raises(VariantError, match=said):
        store.check_baseline()
