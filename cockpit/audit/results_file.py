"""Audit autoresearch's results.tsv with the git history beside it: each keep claims to beat the keep before it.

A program that was run once does not show how much its score varies. The SD of a run is taken from commits that were run
more than once, else from published repeats. The best of several experiments looks better by luck alone, so the error
level is divided by the number of experiments since the last keep (Bonferroni).
"""

import ast
import math
import re
from pathlib import Path
from statistics import NormalDist, variance

from cockpit.audit.claims import LEVEL, Audit, AuditError, Finding, Judgement
from cockpit.audit.results_tsv import CRASH, DISCARD, KEEP, ResultRow, read_rows
from cockpit.variant.errors import VariantError
from cockpit.variant.git.repository import git_answer, open_repository
from cockpit.variant.guard import check_variant

PUBLISHED_SD = 0.0006
"""SD of val_bpb between sessions of upstream's train.py on an H200: the default ran 0.9906 to 0.9931."""
PROTECTED = ("prepare.py",)
STATUSES = {KEEP, DISCARD, CRASH}
STATUSES_NAMED = 4
"""The most other statuses that are named in a sentence."""
CLAIM_CHARS = 80
IMPLAUSIBLE_BELOW = 0.3
"""val_bpb below which a score is implausible: English text has about 0.6 to 0.9 bits a byte."""
_SEED = re.compile(r"seed", re.IGNORECASE)


class History:
    """The git history of the researched repository."""

    def __init__(self, folder: Path) -> None:
        self._repo = open_repository(folder)

    def full_name(self, commit: str) -> str:
        """Return the full name of a commit; empty if there is none of that name."""
        if not re.fullmatch(r"[0-9a-fA-F]{4,40}", commit):
            return ""
        try:
            return git_answer(self._repo, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").strip()
        except VariantError:
            return ""

    def text(self, commit: str, path: str) -> str:
        """Return a file of a commit; empty if it has none."""
        try:
            return git_answer(self._repo, "show", f"{commit}:{path}")
        except VariantError:
            return ""

    def close(self) -> None:
        self._repo.close()


def audit_results(path: Path) -> Audit:
    """Judge each keep of a results.tsv. Raises AuditError."""
    rows = read_rows(path)
    top = next((folder for folder in path.resolve().parents if (folder / ".git").exists()), None)
    history = None
    if top is not None:
        try:
            history = History(top)
        except VariantError as error:
            raise AuditError(str(error)) from error
    try:
        return _findings(path, rows, history)
    finally:
        if history is not None:
            history.close()


def _findings(path: Path, rows: list[ResultRow], history: History | None) -> Audit:
    sd, source = _noise(rows)
    findings: list[Finding] = []
    last: ResultRow | None = None
    tried = 0
    for row in rows:
        tried += row.status != CRASH
        if row.status != KEEP:
            continue
        claim = f"line {row.number}, {row.commit} {row.description[:CLAIM_CHARS]}".strip()
        if last is None and (problem := _impossible(row)):
            findings.append(Finding(f"{claim}, the first keep", Judgement.INVALID, problem))
            continue
        if last is not None:
            problem = _problem(row, last, history)
            if problem:
                findings.append(Finding(claim, Judgement.INVALID, problem))
                continue
            findings.append(_judged(claim, row, last, sd, source, max(1, tried)))
        last, tried = row, 0
    strange = sorted({row.status for row in rows} - STATUSES)
    other = (
        f"its rows of another status were left out: {', '.join(map(repr, strange[:STATUSES_NAMED]))}" if strange else ""
    )
    if not findings:
        why = f"; {other}" if other else ""
        raise AuditError(f"{path} holds no keep after its first one, so nothing is claimed{why}")
    return Audit(findings, [note for note in (_unread(rows, history), other) if note])


def _unread(rows: list[ResultRow], history: History | None) -> str:
    """Return which code was not read, in a sentence; empty for none."""
    if history is None:
        return "the file lies in no git repository, so no code was looked at"
    first = next(row for row in rows if row.status == KEEP)
    if history.full_name(first.commit):
        return ""
    return f"commit {first.commit} of the first keep is not in the repository, so no code was compared with it"


def _judged(claim: str, row: ResultRow, last: ResultRow, sd: float, source: str, tried: int) -> Finding:
    gain = row.value - last.value
    needed = NormalDist().inv_cdf(1 - LEVEL / tried) * math.sqrt(2) * sd
    best = "one run" if tried == 1 else f"the best of {tried} runs"
    told = f"{gain:+.4f}; by luck alone {best} may reach {-needed:+.4f} (run SD {sd:.5f}, {source})"
    return Finding(claim, Judgement.REAL if -gain >= needed else Judgement.NOT_SHOWN, told)


def _noise(rows: list[ResultRow]) -> tuple[float, str]:
    """Return the SD of a run, and where it is from."""
    by_commit: dict[str, list[float]] = {}
    for row in rows:
        if row.status != CRASH and row.value > 0:
            by_commit.setdefault(row.commit, []).append(row.value)
    repeated = [values for values in by_commit.values() if len(values) > 1 and len(set(values)) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if freedom < 3:
        return PUBLISHED_SD, "from published repeats, since the file has too few"
    squares = sum((len(values) - 1) * variance(values) for values in repeated)
    return math.sqrt(squares / freedom), f"from {freedom + len(repeated)} repeats in the file"


def _problem(row: ResultRow, last: ResultRow, history: History | None) -> str:
    """Return why a keep does not count, in a sentence; empty if it may."""
    if problem := _impossible(row):
        return problem
    if history is None:
        return ""
    commit, before = history.full_name(row.commit), history.full_name(last.commit)
    if not commit:
        return f"commit {row.commit} is not in the repository: nothing shows what ran"
    if not before:
        return ""
    for name in PROTECTED:
        if history.text(commit, name) != history.text(before, name):
            return f"{name}, which computes the score, differs from that of {last.commit}"
    source, earlier = history.text(commit, "train.py"), history.text(before, "train.py")
    if not source:
        return f"commit {row.commit} has no train.py"
    try:
        check_variant(source)
    except VariantError as error:
        return str(error)
    changed = _changed(source, earlier)
    if not changed:
        return f"its code is the same as that of {last.commit}: only the luck of the run differs"
    if all(_SEED.search(line) for line in changed):
        return "only the seed was changed: the program is the same, and its luck differs"
    return ""


def _impossible(row: ResultRow) -> str:
    """Return why a value cannot be a score, in a sentence; empty if it can."""
    if math.isfinite(row.value) and row.value >= IMPLAUSIBLE_BELOW:
        return ""
    return f"a val_bpb of {row.value:g} is impossible for a language model of this size"


def _changed(source: str, earlier: str) -> set[str]:
    """Return the statements of one train.py that the other lacks, comments and blank space left out."""
    try:
        new, old = (ast.unparse(ast.parse(text)).splitlines() for text in (source, earlier))
    except (SyntaxError, ValueError, RecursionError):
        new, old = source.splitlines(), earlier.splitlines()
    return {line.strip() for line in new} ^ {line.strip() for line in old}
