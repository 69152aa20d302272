"""Audit autoresearch's results.tsv with the git history beside it: each keep claims to beat the keep before it.

A program that was run once does not show how much its score varies. The SD of a run is taken from commits that were run
more than once, else from published repeats, where the scores are near those. The best of several experiments looks
better by luck alone, so the error level is divided by the number of experiments since the last keep (Bonferroni). A
commit that was run several times has the mean of its runs, and not the best one.
"""

import ast
import math
import re
from contextlib import suppress
from itertools import groupby, pairwise
from pathlib import Path
from statistics import NormalDist, fmean, variance

import msgspec

from cockpit.audit.claims import LEVEL, Audit, AuditError, Finding, Judgement
from cockpit.audit.results_tsv import CRASH, DISCARD, KEEP, ResultRow, read_rows
from cockpit.core.metric import DEFAULT_NAME, VAL_BPB, Metric
from cockpit.variant.errors import VariantError
from cockpit.variant.git.repository import git_answer, open_repository
from cockpit.variant.guard import check_variant
from cockpit.variant.guess.printed import imported_modules
from cockpit.variant.syntax import tree_of

PUBLISHED_SD = 0.0006
"""SD of val_bpb between sessions of upstream's train.py on an H200: the default ran 0.9906 to 0.9931."""
PUBLISHED_FOR = (0.9, 1.1)
"""First scores for which it counts: of the same text and budget on a similar GPU."""
LEAST_FREEDOM = 3
"""Degrees of freedom from which repeats in the file show the SD of a run."""
RUN_AT_LEAST_S = 60
"""Seconds within which no two experiments follow each other on one GPU: a run of autoresearch trains for 300."""
ROWS_TIMED = 300
"""The most lines whose commits' times are read."""
PROTECTED = ("prepare.py",)
STATUSES = {KEEP, DISCARD, CRASH}
STATUSES_NAMED = 4
"""The most other statuses that are named in a sentence."""
CLAIM_CHARS = 80
LEAST_NAME = 7
"""Characters from which a name that another begins with is of the same commit."""
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

    def written_at(self, commit: str) -> int:
        """Return the seconds at which the author wrote a commit; 0 if there is none of that name."""
        name = self.full_name(commit)
        return int(git_answer(self._repo, "show", "-s", "--format=%at", name)) if name else 0

    def close(self) -> None:
        self._repo.close()


def audit_results(path: Path, metric: Metric = VAL_BPB) -> Audit:
    """Judge each keep of a results.tsv. Raises AuditError."""
    rows = [msgspec.structs.replace(row, value=metric.score(row.value)) for row in read_rows(path, metric.name)]
    top = next((folder for folder in path.resolve().parents if (folder / ".git").exists()), None)
    history = None
    if top is not None:
        try:
            history = History(top)
        except VariantError as error:
            raise AuditError(str(error)) from error
    try:
        return _findings(path, rows, history, metric)
    finally:
        if history is not None:
            history.close()


def _findings(path: Path, rows: list[ResultRow], history: History | None, metric: Metric) -> Audit:
    names = _names(rows)
    runs = _runs(rows, names, metric)
    noise, most = _noise(rows, runs, metric), max((row.decimals for row in rows), default=0)
    findings: list[Finding] = []
    last: ResultRow | None = None
    seen: ResultRow | None = None
    tried = 0
    for row in rows:
        tried += row.status != CRASH
        if row.status != KEEP:
            continue
        claim = f"line {row.number}, {row.commit} {row.description[:CLAIM_CHARS]}".strip()
        is_there = history is not None and bool(history.full_name(row.commit))
        if last is None and (problem := _impossible(row, metric)):
            findings.append(Finding(f"{claim}, the first keep", Judgement.INVALID, problem))
            continue
        if last is not None:
            problem = _impossible(row, metric)
            problem = problem or (_code_problem(row, seen, history, metric) if is_there and history else "")
            if problem:
                findings.append(Finding(claim, Judgement.INVALID, problem))
                continue
            if history is not None and not is_there:
                named = f"commit {row.commit} is not in the repository" if row.commit else "its line names no commit"
                reason = f"{named}: nothing shows what ran"
                findings.append(Finding(claim, Judgement.NOT_SHOWN, reason))
            else:
                findings.append(_judged(claim, row, last, runs, names, noise, max(1, tried), most, metric))
        last, seen, tried = row, row if is_there else seen, 0
    strange = sorted({row.status for row in rows} - STATUSES)
    other = (
        f"its rows of another status were left out: {', '.join(map(repr, strange[:STATUSES_NAMED]))}" if strange else ""
    )
    if not findings:
        why = f"; {other}" if other else ""
        raise AuditError(f"{path} holds no keep after its first one, so nothing is claimed{why}")
    return Audit(findings, [note for note in (_unread(rows, history), _hurried(rows, history), other) if note])


def _unread(rows: list[ResultRow], history: History | None) -> str:
    """Return which code was not read, in a sentence; empty for none."""
    if history is None:
        return "the file lies in no git repository, so no code was looked at"
    first = next(row for row in rows if row.status == KEEP)
    if history.full_name(first.commit):
        return ""
    return f"commit {first.commit} of the first keep is not in the repository, so no code was compared with it"


def _hurried(rows: list[ResultRow], history: History | None) -> str:
    """Return how many experiments were committed too soon after the one before, in a sentence; empty for none."""
    if history is None:
        return ""
    at = [
        time for commit, _ in groupby(row.commit for row in rows[:ROWS_TIMED]) if (time := history.written_at(commit))
    ]
    soon = sum(later - earlier < RUN_AT_LEAST_S for earlier, later in pairwise(at))
    if not soon:
        return ""
    of = f"{soon} of {len(at) - 1} commits follow the one before within {RUN_AT_LEAST_S} s or are older"
    return f"{of}: several experiments ran at once, or the history was written later"


def _judged(
    claim: str, row: ResultRow, last: ResultRow, runs: dict[str, set[float]], names: dict[str, str],
    noise: tuple[float, str], tried: int, most_decimals: int, metric: Metric,
) -> Finding:  # fmt: skip
    (mine, of_mine), (its, of_its) = (_value(one, runs, names) for one in (row, last))
    gain, (sd, source) = mine - its, noise
    told = f"{metric.signed(gain)} against line {last.number}"
    if of_mine > 1:
        told += f" in the mean of its {of_mine} runs"
    if not sd:
        return Finding(claim, Judgement.NOT_SHOWN, f"{told}, and {source}")
    units = [_unit(one, most_decimals) for one in (row, last)]
    rounding = sum(units) / 2
    spread = math.sqrt(1 / of_mine + 1 / of_its) * sd
    needed = NormalDist().inv_cdf(1 - LEVEL / tried) * spread + rounding
    best = "one experiment" if tried == 1 else f"the best of {tried} experiments"
    rounded = f", scores rounded to {max(units):g}" if rounding > sd / 2 else ""
    told += f"; by luck alone {best} may reach {metric.signed(-needed)} (run SD {sd:.5f}, {source}{rounded})"
    return Finding(claim, Judgement.REAL if -gain >= needed else Judgement.NOT_SHOWN, told)


def _unit(row: ResultRow, most_decimals: int) -> float:
    """Return one of the last decimal of a score. One that is missing may have been a zero, and two were cut off."""
    return 10.0**-most_decimals if row.decimals >= most_decimals - 1 else 10.0**-row.decimals


def _names(rows: list[ResultRow]) -> dict[str, str]:
    """Return the name of each commit by all that the file has for it: a1b2c3d for A1B2C3D4E5 if it has both."""
    found: dict[str, str] = {}
    shortest = "-"
    for name in sorted({row.commit.lower() for row in rows}):
        shortest = shortest if len(shortest) >= LEAST_NAME and name.startswith(shortest) else name
        found[name] = shortest
    return {row.commit: found[row.commit.lower()] for row in rows}


def _runs(rows: list[ResultRow], names: dict[str, str], metric: Metric) -> dict[str, set[float]]:
    """Return the scores of each commit. A line that was copied is one run."""
    found: dict[str, set[float]] = {}
    for row in rows:
        if row.status != CRASH and row.commit and math.isfinite(row.value) and (row.value > 0 or metric != VAL_BPB):
            found.setdefault(names[row.commit], set()).add(row.value)
    return found


def _value(row: ResultRow, runs: dict[str, set[float]], names: dict[str, str]) -> tuple[float, int]:
    """Return the mean score of a line's commit, and its number of runs."""
    values = runs.get(names[row.commit]) or {row.value}
    return fmean(values), len(values)


def _noise(rows: list[ResultRow], runs: dict[str, set[float]], metric: Metric) -> tuple[float, str]:
    """Return the SD of a run and where it is from; 0 and why in a clause where it is unknown."""
    repeated = [values for values in runs.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if freedom >= LEAST_FREEDOM:
        squares = sum((len(values) - 1) * variance(values) for values in repeated)
        return math.sqrt(squares / freedom), f"from {freedom + len(repeated)} repeats in the file"
    if metric.name != DEFAULT_NAME:
        return 0.0, (
            f"nothing shows how much {metric.name} varies from run to run: the file has too few repeats; run one commit"
            " four times"
        )
    first = next((row.value for row in rows if row.status == KEEP and not _impossible(row, metric)), 0.0)
    low, high = PUBLISHED_FOR
    if low <= first <= high:
        return PUBLISHED_SD, "from published repeats, since the file has too few"
    return 0.0, (
        f"nothing shows how much a run varies here: published repeats have scores of {low} to {high}, and the file has"
        " too few of its own: run one commit four times"
    )


def _code_problem(row: ResultRow, last: ResultRow | None, history: History, metric: Metric) -> str:
    """Return why the code of a keep does not count against that of an earlier one, in a sentence; empty if it may."""
    source = history.text(row.commit, "train.py")
    if not source:
        had = last is None or history.text(last.commit, "train.py")
        return f"commit {row.commit} has no train.py" if had else ""
    try:
        check_variant(source, metric.name)
    except VariantError as error:
        return str(error)
    if last is None:
        return ""
    for name in PROTECTED:
        if history.text(row.commit, name) != history.text(last.commit, name):
            return f"{name}, which computes the score, differs from that of {last.commit}"
    earlier = history.text(last.commit, "train.py")
    both = imported_modules(earlier) & imported_modules(source)
    for name in sorted({one.partition(".")[0] for one in both}):
        for path in (f"{name}.py", f"{name}/__init__.py"):
            if history.text(row.commit, path) and not history.text(last.commit, path):
                return f"{path} is new beside train.py, and takes the place of a module that train.py imports"
    changed = _changed(source, earlier)
    if not changed:
        return f"its code is the same as that of {last.commit}: only the luck of the run differs"
    if all(_SEED.search(line) for line in changed):
        return "only the seed was changed: the program is the same, and its luck differs"
    return ""


def _impossible(row: ResultRow, metric: Metric) -> str:
    """Return why a value cannot be a score, in a sentence; empty if it can."""
    if not math.isfinite(row.value):
        return f"it has no finite {metric.name}"
    if metric.name != DEFAULT_NAME or row.value >= IMPLAUSIBLE_BELOW:
        return ""
    return f"a val_bpb of {row.value:g} is impossible for a language model of this size"


def _changed(source: str, earlier: str) -> set[str]:
    """Return the statements of one train.py that the other lacks, comments and blank space left out."""
    new_tree, old_tree = tree_of(source), tree_of(earlier)
    new, old = source.splitlines(), earlier.splitlines()
    if new_tree is not None and old_tree is not None:
        with suppress(RecursionError):  # an expression that is nested too deeply to be written out
            new, old = ast.unparse(new_tree).splitlines(), ast.unparse(old_tree).splitlines()
    return {line.strip() for line in new} ^ {line.strip() for line in old}
