"""The metric of a session: its name, its direction, the pattern that reads it, and the constraints on other metrics.

Runs print values of the metric. The ledger keeps a value as it was printed. The state holds scores: a score is the
value itself where lower is better, and its negative where higher is better, so lower scores are better everywhere in
`decide` and `science`. The methods of `Metric` are the one place that turns scores back into values.
"""

import math
import re
from enum import StrEnum

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.units import factor, unit_in_name, unit_of

DEFAULT_NAME = "val_bpb"
NAME_CHARACTERS = 60
_NAME = re.compile(r"[^\W\d][\w .:/%@^+-]*(?<! )")
_CONSTRAINT = re.compile(
    r"\s*(?P<name>.+?)\s*(?P<relation><=|>=|<|>)\s*(?P<limit>\S+?)\s?(?P<unit>%|[A-Za-z\xb5\u03bc]+)?\s*"
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_TIE_BREAK = re.compile(r"\s*(?P<direction>min|max)\s+(?P<name>.+?)\s*")
BASELINE = "baseline"
"""The spelling of a limit that is the baseline's own value."""


class Direction(StrEnum):
    MIN = "min"
    MAX = "max"


class Relation(StrEnum):
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


class Constraint(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A limit on a second metric, such as `peak_vram_mb < 64000` or `test_acc >= baseline`."""

    name: str
    relation: Relation
    limit: float | None = None
    """None for the baseline's value."""
    unit: str = ""
    """The unit of the limit; empty if none is written."""

    def __str__(self) -> str:
        unit = f"{'' if self.unit == '%' else ' '}{self.unit}" if self.unit else ""
        return f"{self.name} {self.relation} {BASELINE if self.limit is None else f'{self.limit:g}{unit}'}"

    @property
    def wants_less(self) -> bool:
        return self.relation in (Relation.LESS, Relation.AT_MOST)

    def holds(self, value: float, limit: float) -> bool:
        match self.relation:
            case Relation.LESS:
                return value < limit
            case Relation.AT_MOST:
                return value <= limit
            case Relation.MORE:
                return value > limit
            case Relation.AT_LEAST:
                return value >= limit


class TieBreak(msgspec.Struct, frozen=True, gc=False):
    """A second metric that decides between experiments whose scores are a tie, such as `min peak_vram_mb`."""

    name: str
    direction: Direction

    def __str__(self) -> str:
        return f"{self.direction} {self.name}"


class Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str = DEFAULT_NAME
    direction: Direction = Direction.MIN
    pattern: str = ""
    """A regular expression whose group is the value; empty if the name in one of the usual shapes is read."""
    progress: str = ""
    """A regular expression of a progress line: its group is the percentage done, or its two are a step and the last."""
    loss: str = ""
    """A regular expression whose group is the training loss."""
    constraints: tuple[Constraint, ...] = ()
    tie_breaks: tuple[TieBreak, ...] = ()
    score_command: tuple[str, ...] = ()
    """The command that scores what a run left, after it and outside it; empty if the run prints its own value."""

    @property
    def is_higher_better(self) -> bool:
        return self.direction is Direction.MAX

    @property
    def better(self) -> str:
        return "higher is better" if self.is_higher_better else "lower is better"

    @property
    def others(self) -> tuple[str, ...]:
        """The names of the second metrics, each once."""
        return tuple(dict.fromkeys([one.name for one in self.constraints] + [one.name for one in self.tie_breaks]))

    def unit(self, name: str) -> str:
        """Return the unit in a metric's name or limits; empty if the baseline's first result decides."""
        stated = (one.unit for one in self.constraints if one.name == name and one.unit)
        return unit_in_name(name) or next(stated, "")

    def score(self, value: float) -> float:
        """Return the score of a value."""
        return -value if self.is_higher_better else value

    def value(self, score: float) -> float:
        """Return the value of a score, or the difference in value of a difference in score."""
        return 0.0 - score if self.is_higher_better else score

    def interval(self, low: float, high: float) -> tuple[float, float]:
        """Return the interval in values of an interval in scores."""
        return (self.value(high), self.value(low)) if self.is_higher_better else (low, high)

    def text(self, score: float) -> str:
        """Word the value of a score."""
        return figure(self.value(score))

    def number(self, score: float, digits: int) -> float:
        """Return the value of a score, or a difference in values, as a rounded number for programs and agents."""
        return rounded(self.value(score), digits)

    def signed(self, difference: float, digits: int = 4) -> str:
        """Word a difference in scores as a difference in values, with its sign."""
        return signed(self.value(difference), digits)

    def span(self, low: float, high: float, digits: int = 4) -> str:
        """Word an interval of differences in scores as one of differences in values."""
        ends = self.interval(low, high)
        return f"[{signed(ends[0], digits)}, {signed(ends[1], digits)}]"


def rounded(value: float, digits: int) -> float:
    """Round to `digits` decimals, or to three digits where those would lose a small value."""
    kept = round(value, digits)
    return kept if abs(kept - value) <= 0.01 * abs(value) else float(f"{value:.3g}")


def precise(value: float) -> str:
    """Word a value of a metric of any magnitude for tables: six decimals for values around 1."""
    size = abs(value)
    return f"{value:.6f}" if size == 0 or 1e-3 <= size < 100 else f"{value:.6g}"


def figure(value: float) -> str:
    """Word a value of a metric of any magnitude in a few characters: four decimals for values around 1."""
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{value:.4g}"
    return f"{value:.{4 if size < 100 else 2 if size < 10_000 else 0}f}"


def signed(difference: float, digits: int = 4) -> str:
    """Word a difference of any magnitude with its sign: `digits` decimals for differences below 10, one more for those
    that would be 0."""
    size = abs(difference)
    digits += 0 < size < 0.5 * 10.0**-digits
    if size >= 1e5 or 0 < size < 0.5 * 10.0**-digits:
        return f"{difference:+.0e}"
    return f"{difference:+.{digits if size < 10 else max(0, digits - 2) if size < 1000 else 0}f}"


VAL_BPB = Metric()
"""Autoresearch's metric, the default."""


class MetricError(CockpitError):
    """A setting of the metric is invalid."""


def check_name(name: str) -> str:
    """Return the name. Raises MetricError for one that cannot be a metric's."""
    if not _NAME.fullmatch(name) or len(name) > NAME_CHARACTERS:
        raise MetricError(
            f"{name[:NAME_CHARACTERS]!r} is not a name of a metric: it starts with a letter and has at most"
            f" {NAME_CHARACTERS} characters"
        )
    return name


def check_pattern(pattern: str, groups: tuple[int, ...]) -> str:
    """Return the regular expression. Raises MetricError unless it compiles and has one of these numbers of groups."""
    if not pattern:
        return pattern
    try:
        found = re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise MetricError(f"{pattern!r} is not a regular expression: {error}") from None
    if found not in groups:
        wanted = " or ".join(map(str, groups))
        raise MetricError(f"{pattern!r} has {found} groups: expected {wanted}, around each number")
    return pattern


def constraint_of(text: str) -> Constraint | TieBreak:
    """Return the constraint or tie-break that a setting spells. Raises MetricError."""
    if found := _TIE_BREAK.fullmatch(text):
        return TieBreak(check_name(found["name"]), Direction(found["direction"]))
    if found := _CONSTRAINT.fullmatch(text):
        name, relation = check_name(found["name"]), Relation(found["relation"])
        limit, unit = found["limit"] + (found["unit"] or ""), ""
        if limit == BASELINE:
            return Constraint(name, relation)
        if (value := _plain_number(limit)) is None:
            value, unit = _plain_number(found["limit"]), unit_of(found["unit"] or "")
        if value is not None and (unit or not found["unit"]):
            if unit and factor(unit, unit_in_name(name) or unit) is None:
                raise MetricError(f"{text!r} has a limit in {unit}, and its name says {unit_in_name(name)}")
            return Constraint(name, relation, value, unit)
    raise MetricError(
        f"{text!r} is not a constraint: write NAME < NUMBER, NAME < 64 GB, NAME >= {BASELINE}, or min NAME"
        " for a tie-break"
    )


def _plain_number(text: str) -> float | None:
    """Return the finite number that a text is, its thousands set apart or not; None for any other text."""
    try:
        value = float(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


_RATE = re.compile(
    r"(?i)(?:[a-z]{2,}|[kmgt]?b|it)(?:/|[_ ]?per[_ ]?)s(?:ec(?:ond)?)?(?![a-z])"
    r"|(?<![a-z])(?:fps|qps|rps|tps|nps|iops|mips|ipc)(?![a-z])"
)
"""A number of things in a second: better higher, whatever the things are."""
_ENDS_LOWER = re.compile(r"(?i)(?:^|[_ /])(?:loss|error|cost|regret)$")
"""The end of a name that is better lower, whatever it is the loss of."""
_HIGHER_IS_BETTER = re.compile(
    r"(?i)(?<![a-z])(?:acc|accuracy|top_?[15]|f1|auc|auroc|m?ap(?:50|75|[sml](?![a-z]))?|ndcg|mrr|mcc|iou|miou|dice|bleu"
    r"|rouge\w*|meteor|psnr|ssim|r\^?2|precision|recall|rewards?|returns?|sharpe|sortino|calmar|profit|pnl|win_?rate|wins?"
    r"|elo|corr(?:elation)?|spearman|pearson|kendall|pass(?:ed|_rate|_at_\d+|@\d+)?|solved|score|throughput"
    r"|tok(?:ens)?_?(?:/|per)_?s(?:ec)?|(?:gb|tb|m?fl?ops|tflops|gflops)(?:/|_?per_?)?s?|speed_?up|mfu|correct"
    r"|hits?@\d+|hit_rate|success(?:_rate)?|(?<!neg_)(?<!negative_)log_?likelihood|(?<!log_)likelihood|elbo|kappa|gini"
    r"|jaccard|lift|roi|cagr|bandwidth|occupancy|utili[sz]ation|coverage|proved|compression_ratio|similarity|silhouette"
    r"|modularity|lddt|area under \w+|area_under_\w+|exact_match|fitness|utility|reliability|robustness|yield)(?![a-z])"
)
_LOWER_IS_BETTER = re.compile(
    r"(?i)(?<![a-z])(?:loss|bpb|bpc|ppl|perplexity|err(?:or)?s?|rmse|mse|mae|s?mape|crps|nll|wer|cer|eer|fid|lpips|brier"
    r"|logloss|latency|regret|cost|time|seconds|ms|(?:ns|us|ms|s) ?(?:/|per) ?[a-z]+|runtime|elapsed|duration|makespan"
    r"|kl|divergence|entropy|hinge|chamfer|rmsd|distance|drawdown|volatility|negative log likelihood"
    r"|(?:miss|failure|false positive|false negative|rejection) rate|fpr|fnr|misses|failures|violations|conflicts"
    r"|collisions|crashes|timeouts|gap|energy|bits?|bytes|cycles|instructions|steps|iterations|size|params|memory|vram"
    r"|mb)(?![a-z])"
)


_LOWER_SCORE = re.compile(
    r"(?i)(?<![a-z])(?:loss|error|err|rmse|mse|mae|mape|crps|nll|wer|cer|eer|fid|kid|lpips|brier|ppl|perplexity|energy"
    r"|bouldin)[_ ]scores?(?![a-z])"
)
"""A score that is better lower: the word before it names a loss."""
_NEGATED = re.compile(
    r"(?i)(?:^|[_ /.])(?:neg(?:ative|ated)?|minus)[_ ]"
    r"(?:(?:mean|avg|average|median|max|root|squared|absolute|percentage|log|cross|val|valid|test|eval|total)[_ ])*"
)
"""The start of a name whose values have the other sign, up to the word that tells the direction: `neg_mean_` of
scikit-learn's `neg_mean_absolute_error`."""


def tells_direction(name: str) -> bool:
    """Return True if a name says in which direction it is better: `loss` and `accuracy` do, `quality` does not."""
    return _told_direction(name) is not None


def direction_of(name: str) -> Direction:
    """Return the usual direction of a metric with this name: an accuracy is better higher, a loss lower."""
    return _told_direction(name) or Direction.MIN


def _told_direction(name: str) -> Direction | None:
    plain = name.replace("-", "_")
    spaced = re.sub(r"[\s_]+", " ", plain)
    if negated := _NEGATED.search(spaced):
        is_gain, is_loss = (words.match(spaced, negated.end()) for words in (_HIGHER_IS_BETTER, _LOWER_IS_BETTER))
        is_of_both = "likelihood" in spaced.lower() or (is_gain and _ENDS_LOWER.search(plain))
        if (is_gain or is_loss) and not is_of_both:
            return Direction.MIN if is_gain and not is_loss else Direction.MAX
    if _LOWER_SCORE.search(plain) or _ENDS_LOWER.search(plain):
        return Direction.MIN
    if _RATE.search(plain) or _HIGHER_IS_BETTER.search(plain):
        return Direction.MAX
    return Direction.MIN if _LOWER_IS_BETTER.search(spaced) else None
