"""Fill the templates of the pages. All text of runs, models and persons is escaped."""

from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cockpit.core.metric import Metric
from cockpit.core.model import Estimate, Value
from cockpit.read.effects import ADJUSTED_NOTE
from cockpit.read.wording import duration, signed, value, with_minus
from cockpit.report.bars import Bar, bar_svg, scale_of


def environment(metric: Metric) -> Environment:
    """Return the templates, with filters that show scores as values of the metric."""
    made = Environment(
        loader=PackageLoader("cockpit.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def difference(score: float, digits: int = 4) -> str:
        return signed(metric.value(score), digits)

    def interval(estimate: Estimate) -> str:
        low, high = metric.interval(estimate.low, estimate.high)
        return f"{signed(low)} to {signed(high)}"

    def bar(one: Bar, scale: float) -> Markup:
        return Markup(bar_svg(one, scale, metric))

    made.globals["adjusted_note"] = ADJUSTED_NOTE
    made.filters |= {
        "clock": _clock, "literal": _literal, "value": value, "difference": difference, "interval": interval,
        "bar": bar, "scale": scale_of, "lines": _lines, "span": _span,
        "breakable": _breakable, "minus": with_minus,
    }  # fmt: skip
    return made


def _shown(value: object) -> object:
    """Replace characters in text that a reader's program might interpret, such as escapes, by spaces."""
    return "".join(c if c.isprintable() else " " for c in value) if type(value) is str else value


def _lines(text: str) -> list[str]:
    """Return the lines of a diff without line ends, with tabs expanded."""
    return [line.expandtabs(4) for line in text.split("\n")]


def _literal(constant: Value) -> str:
    """Return a constant as Python reads it; a list stands for a tuple."""
    return repr(tuple(constant) if isinstance(constant, list) else constant)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


def _breakable(text: str) -> Markup:
    """Return the escaped text with an optional line break after each underscore. Copied text does not contain it."""
    return Markup(str(escape(_shown(text))).replace("_", "_<wbr>"))


def _span(hours: float) -> str:
    return duration(3600 * hours)
