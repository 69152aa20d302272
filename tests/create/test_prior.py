"""Findings from before a session, from the sessions beside it and from files, taken when it is made."""

import threading
from pathlib import Path

import pytest

from cockpit.core.prior import PriorFinding, PriorKind
from cockpit.core.state import State
from cockpit.create.error import CreateError
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.report.export import write_csv
from cockpit.report.html import html
from cockpit.report.markdown import markdown
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import NewSession, Settings
from cockpit.worker.supervisor import run_session
from tests.worker.sessions import git, repository, sim_session, state_of

NIGHT = {"speed": 0, "clusters": 6, "mode": "autopilot", "proposer": "search", "budget_hours": 2.5}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    """A simulated night that kept something."""
    folder = sim_session(tmp_path_factory.mktemp("prior"), **NIGHT)  # type: ignore[arg-type]
    run_session(folder, threading.Event(), threading.Event())
    assert len(state_of(folder).incumbencies) > 1
    return folder


def another(night: SessionFolder, name: str, repo: Path | None = None, **new: object) -> State:
    """Make a session beside the night."""
    folder = SessionFolder(night.root.with_name(name))
    settings = Settings(session=NewSession(**{"fleet": "sim", "clusters": 2, "proposer": "search", **new}))  # type: ignore[arg-type]
    create(folder, Plan(name, repo or Path(state_of(night).session.repo), settings), SIM_EPOCH)
    return state_of(folder)


def kept(state: State) -> list[PriorFinding]:
    return [one for one in state.prior if one.kind is PriorKind.KEPT]


def said(state: State) -> list[str]:
    return [message.text for message in state.messages if message.text.startswith("memory: ")]


def test_a_session_takes_what_the_one_before_it_kept(night: SessionFolder) -> None:
    state = another(night, "second")
    first = state_of(night)
    last = kept(state)[0]
    assert last.source == "session night" and first.incumbent in last.evidence and " on " in last.evidence
    assert all(one.code_changed == "" for one in kept(state) if one.before.items() <= state.session.constants.items())
    assert not any(experiment.scores for experiment in state.experiments.values())
    assert said(state)[0].startswith("memory: session night (")
    assert said(state)[0].endswith("tried first, and no evidence here")


def test_the_ledger_holds_the_findings_so_a_replay_is_the_same(night: SessionFolder) -> None:
    state = another(night, "replayed")
    night.root.rename(night.root.with_name("moved"))
    try:
        assert state_of(SessionFolder(night.root.with_name("replayed"))).prior == state.prior != []
    finally:
        night.root.with_name("moved").rename(night.root)


def test_code_that_has_changed_under_a_finding_is_named(night: SessionFolder, tmp_path: Path) -> None:
    repo = Path(state_of(night).session.repo)
    head = git(repo, "rev-parse", "HEAD").strip()
    changed = kept(another(night, "before-change"))[-1]
    name = next(iter(changed.constants))
    source = (repo / "train.py").read_text()
    try:
        (repo / "train.py").write_text(f"{source}\n\ndef later():\n    return {name}\n")
        git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "changed")
        state = another(night, "after-change")
    finally:
        git(repo, "reset", "-q", "--hard", head)
    found = next(one for one in kept(state) if one.evidence == changed.evidence)
    assert "later changed" in found.code_changed and "later changed" not in changed.code_changed


def test_sessions_of_another_repository_tell_nothing(night: SessionFolder, tmp_path: Path) -> None:
    state = another(night, "elsewhere", repository(tmp_path / "other"))
    assert (state.prior, said(state)) == ([], [])


def test_an_unreadable_session_is_left_out_with_a_note(night: SessionFolder) -> None:
    broken = SessionFolder(night.root.with_name("broken"))
    another(night, "broken")
    body = broken.events.read_bytes()
    broken.snapshot.unlink(missing_ok=True)
    broken.events.write_bytes(body[:40] + b"\xff" * (len(body) - 40))
    try:
        state = another(night, "beside-broken")
    finally:
        broken.root.rename(night.root.with_name(".broken"))
    assert kept(state), "the others are read"
    assert any(each.startswith("memory: session broken is left out: ") for each in said(state))


RESULTS = (
    "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
    "aaaaaaa\t0.9979\t44.0\tkeep\tbaseline\n"
    "bbbbbbb\t0.9950\t44.0\tkeep\tincrease MATRIX_LR to 0.05\n"
    "ccccccc\t0.9930\t44.0\tkeep\tswitch to GeLU\n"
    "ddddddd\t0.0000\t0.0\tcrash\tDEPTH=64 (out of memory)\n"
    "eeeeeee\t0.9990\t44.0\tdiscard\tWARMDOWN_RATIO=0.9\n"
)


def test_claims_of_a_results_tsv_say_what_to_try(night: SessionFolder, tmp_path: Path) -> None:
    path = tmp_path / "results.tsv"
    path.write_text(RESULTS)
    given = [one for one in another(night, "given", prior=(str(path),)).prior if one.source == "results.tsv"]
    assert [(one.kind, one.constants, one.edited) for one in given] == [
        (PriorKind.CLAIM, {"MATRIX_LR": 0.05}, False),
        (PriorKind.CLAIM, {}, True),
        (PriorKind.CRASH, {"DEPTH": 64}, False),
    ]
    assert given[0].difference == pytest.approx(-0.0029) and "line 3, commit bbbbbbb" in given[0].evidence
    assert "in one run" in given[0].evidence


def test_a_commit_that_the_repository_has_shows_its_constants(night: SessionFolder, tmp_path: Path) -> None:
    first = state_of(night)
    keep = kept(another(night, "plain"))[-1]
    base, new = (first.experiments[name].commit for name in keep.evidence.split(",")[0].split(" against ")[::-1])
    path = tmp_path / "results.tsv"
    path.write_text(f"commit\tval_bpb\tstatus\n{base[:9]}\t0.99\tkeep\n{new[:9]}\t0.98\tkeep\n")
    (claim,) = [one for one in another(night, "by-commit", prior=(str(path),)).prior if one.source == "results.tsv"]
    assert claim.constants == keep.constants and claim.before == keep.before


@pytest.mark.parametrize("kind", ["csv", "md", "html"])
def test_an_export_and_a_report_of_a_session_are_read(night: SessionFolder, tmp_path: Path, kind: str) -> None:
    first = state_of(night)
    path = tmp_path / f"night.{kind}"
    with path.open("w", encoding="utf-8") as file:
        if kind == "csv":
            write_csv(first, file)
        else:
            file.write(markdown(first, first.now) if kind == "md" else html(first, first.now))
    state = another(night, f"from-{kind}", prior=(str(path),))
    claims = [one for one in state.prior if one.source == path.name]
    numeric = [one for one in kept(state) if not one.edited]
    assert len(claims) == len(numeric)
    for one in numeric:
        (claim,) = [each for each in claims if each.constants == one.constants]
        assert claim.difference == pytest.approx(one.difference, abs=6e-5)


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("missing.tsv", None, "there is no file"),
        ("empty.txt", b"", "names no kept change of val_bpb"),
        ("words.md", b"nothing to see", "names no kept change"),
        ("bad.tsv", b"commit\tscore\tstatus\na\t1\tkeep\n", "has no column val_bpb"),
        ("torn.tsv", b"commit\tval_bpb\tstatus\na\tx\tkeep\n", "'x' is not a val_bpb"),
        ("bad.csv", b"session,metric\na,val_bpb\n", "is not an export of a session"),
        ("binary.png", b"\x89PNG\xff\xfe", "is not text"),
    ],
)
def test_a_file_without_findings_is_refused_in_one_sentence(
    night: SessionFolder, tmp_path: Path, name: str, body: bytes | None, sentence: str
) -> None:
    path = tmp_path / name
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(CreateError, match=sentence) as caught:
        another(night, "refused", prior=(str(path),))
    assert "\n" not in str(caught.value) and name in str(caught.value)
    assert not night.root.with_name("refused").exists()
