"""A branch for review: one commit a kept change, the best code at its tip, and nothing of the person's moved."""

from pathlib import Path

import pytest

from cockpit.core.model import Change, Edit, Value
from cockpit.variant.review import KeptStep, write_review
from cockpit.variant.store import VariantStore
from tests.variant.conftest import SCRIPT, git_in
from tests.variant.test_store import everything

BRANCH = "review/night"
WARM = Edit("WARM_STEPS = 10 +", "WARM_STEPS = 20 +")


class Kept:
    """Kept variants of a repository, each with the commit it was measured against."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.store = VariantStore(repo, "night")
        self.baseline = self.store.baseline().commit
        self.git = git_in(repo)
        self.steps: list[KeptStep] = []
        self.best = self.baseline

    def put(self, base: str, constants: dict[str, Value], *edits: Edit) -> str:
        number = len(self.store.experiments()) + 1
        return self.store.put(f"e{number:04d}", base, Change(constants, edits), "x", at=float(number)).commit

    def keep(self, base: str, constants: dict[str, Value], *edits: Edit) -> str:
        """Store a variant of `base`, and keep it in place of the best one."""
        commit = self.put(base, constants, *edits)
        number = len(self.steps) + 1
        self.steps.append(KeptStep(self.best, commit, f"Change {number}\n\nGain: {number}", 1_700_000_000.0 + number))
        self.best = commit
        return commit

    def write(self, steps: list[KeptStep] | None = None) -> tuple[str, ...]:
        done = write_review(
            self.store, BRANCH, self.baseline, self.steps if steps is None else steps, self.best, "Arrive at it"
        )
        assert done.problem == ""
        assert self.git("rev-parse", BRANCH).strip() == done.commit
        assert self.git("diff", self.best, BRANCH) == ""
        return done.subjects

    def patch(self, commit: str) -> str:
        """Return the changed lines of a commit of the branch."""
        lines = self.git("show", "--format=", "-U0", commit).splitlines()
        return "\n".join(line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---"))


@pytest.fixture
def kept(repo: Path) -> Kept:
    return Kept(repo)


def test_each_kept_change_is_one_commit_with_its_message_and_exactly_its_code(kept: Kept) -> None:
    first = kept.keep(kept.baseline, {"DEPTH": 12})
    second = kept.keep(first, {}, WARM)
    assert kept.write() == ("Change 1", "Change 2")
    commits = kept.git("rev-list", "--reverse", f"{kept.baseline}..{BRANCH}").split()
    assert [kept.git("rev-parse", f"{commit}^{{tree}}") for commit in commits] == [
        kept.git("rev-parse", f"{commit}^{{tree}}") for commit in (first, second)
    ]
    assert kept.git("show", "-s", "--format=%B%an %at", commits[1]) == "Change 2\n\nGain: 2\ncockpit 1700000002\n"


def test_a_keep_on_an_older_base_is_the_difference_to_the_one_it_replaced(kept: Kept) -> None:
    kept.keep(kept.baseline, {"DEPTH": 12})
    kept.keep(kept.baseline, {"DEPTH": 10}, WARM)
    assert kept.write() == ("Change 1", "Change 2")
    assert "+DEPTH: int = 10" in kept.patch(BRANCH) and "-DEPTH: int = 12" in kept.patch(BRANCH)


def test_a_change_that_was_dropped_again_is_in_no_commit(kept: Kept) -> None:
    first = kept.keep(kept.baseline, {"DEPTH": 12})
    second = kept.keep(first, {"HEAD_DIM": 64}, WARM)
    kept.best = kept.put(second, {"DEPTH": 8})
    assert kept.write(kept.steps[1:]) == ("Change 2",)
    assert kept.patch(BRANCH).splitlines()[-2:] == ["-WARM_STEPS = 10 + DEPTH", "+WARM_STEPS = 20 + DEPTH"]
    assert "HEAD_DIM = 64" in kept.patch(BRANCH) and "DEPTH: int" not in kept.patch(BRANCH)


def test_constants_in_neighbouring_lines_are_distinguished(tmp_path: Path) -> None:
    from tests.worker.sessions import repository

    kept = Kept(repository(tmp_path / "repo", "A = 1\nB = 1\nC = 1\nprint(f'val_bpb: {A + B + C}')\n"))
    first = kept.keep(kept.baseline, {"A": 2})
    second = kept.keep(first, {"B": 2})
    third = kept.keep(second, {"C": 2})
    kept.best = kept.put(third, {"B": 1})
    assert kept.write([kept.steps[0], kept.steps[2]]) == ("Change 1", "Change 3")
    assert kept.patch(BRANCH) == "-C = 1\n+C = 2"


def test_changes_that_cannot_be_distinguished_are_one_last_commit(kept: Kept) -> None:
    first = kept.keep(kept.baseline, {}, WARM)
    kept.keep(first, {}, Edit("WARM_STEPS = 20 +", "WARM_STEPS = 30 +"))
    done = write_review(kept.store, BRANCH, kept.baseline, kept.steps[1:], kept.best, "Arrive at it\n\nBecause.")
    assert done.joined == ("Change 2",) and done.subjects == ("Arrive at it",)
    assert kept.git("diff", kept.best, BRANCH) == ""
    assert kept.git("show", "-s", "--format=%B", BRANCH) == "Arrive at it\n\nBecause.\n\nChange 2\n\nGain: 2\n\n"


def test_the_same_branch_is_written_again_and_a_longer_one_replaces_it(kept: Kept) -> None:
    first = kept.keep(kept.baseline, {"DEPTH": 12})
    kept.write()
    before = kept.git("rev-parse", BRANCH)
    kept.write()
    assert kept.git("rev-parse", BRANCH) == before
    kept.keep(first, {}, WARM)
    assert kept.write() == ("Change 1", "Change 2")


def test_the_persons_checkout_index_branches_and_stash_stay(kept: Kept) -> None:
    (kept.repo / "train.py").write_text(SCRIPT + "# staged\n")
    kept.git("add", "train.py")
    (kept.repo / "train.py").write_text(SCRIPT + "# dirty\n")
    kept.keep(kept.baseline, {"DEPTH": 12})
    before = everything(kept.repo)
    kept.write()
    after = everything(kept.repo)
    added = {name for name in after if name not in before}
    assert {name: after[name] for name in before} == before
    assert added <= {".git/refs/heads/review/night", ".git/logs/refs/heads/review/night"}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_branch_that_is_checked_out_stays(kept: Kept, tmp_path: Path, elsewhere: bool) -> None:
    kept.keep(kept.baseline, {"DEPTH": 12})
    if elsewhere:
        kept.git("worktree", "add", "--quiet", "-b", BRANCH, str(tmp_path / "other"))
    else:
        kept.git("checkout", "--quiet", "-b", BRANCH)
    before = kept.git("rev-parse", BRANCH)
    done = write_review(kept.store, BRANCH, kept.baseline, kept.steps, kept.best, "x")
    assert "is checked out, so it was not moved" in done.problem
    assert kept.git("rev-parse", BRANCH) == before


def test_a_branch_with_a_persons_commit_stays(kept: Kept) -> None:
    kept.keep(kept.baseline, {"DEPTH": 12})
    kept.write()
    kept.git("checkout", "--quiet", BRANCH)
    kept.git("commit", "--quiet", "--allow-empty", "--message=Mine")
    mine = kept.git("rev-parse", "HEAD")
    kept.git("checkout", "--quiet", "main")
    done = write_review(kept.store, BRANCH, kept.baseline, kept.steps, kept.best, "x")
    assert "commits that are not this session's" in done.problem
    assert kept.git("rev-parse", BRANCH) == mine
