"""The report of a session as one HTML file: nothing is loaded from elsewhere, and no text of a run is markup."""

from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cockpit.core.metric import Metric
from cockpit.core.model import Estimate, Value
from cockpit.core.state import State
from cockpit.read.wording import signed, value
from cockpit.report.bars import Bar, bar_svg, scale_of
from cockpit.report.chart import NARROW
from cockpit.report.contents import contents
from cockpit.report.svg import svg

DIFF_CHARACTERS = 60_000


def html(state: State, now: float, diff: str | None = None) -> str:
    """Return the page, at `now` on the session's clock.

    `diff` is the change of the best variant to the unchanged code; None where the repository is not at hand.
    """
    found = contents(state, now)
    return (
        _environment(found.metric)
        .get_template("report.html.j2")
        .render(
            s=found,
            charts=[Markup(svg(chart) + svg(chart, NARROW)) for chart in found.charts],
            classes=[chart.hardware for chart in found.charts],
            shown={kept.experiment for kept in found.kept},
            scale=scale_of(found.strongest),
            diff=diff if diff is None else diff[:DIFF_CHARACTERS],
            diff_left_out=max(0, len(diff or "") - DIFF_CHARACTERS),
        )
    )


def _environment(metric: Metric) -> Environment:
    environment = Environment(
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

    environment.filters |= {
        "clock": _clock, "literal": _literal, "value": value, "difference": difference, "interval": interval,
        "bar": bar, "scale": scale_of, "lines": _lines,
    }  # fmt: skip
    return environment


def _shown(value: object) -> object:
    """Text of runs, models and people without the characters that a reader's program might obey."""
    return "".join(c if c.isprintable() else " " for c in value) if type(value) is str else value


def _lines(text: str) -> list[str]:
    """Return the lines of a diff without their ends: each is shown on its own, cleaned of control characters."""
    return [line.expandtabs(4) for line in text.split("\n")]


def _literal(constant: Value) -> str:
    """Return a constant as Python reads it; a list stands for a tuple."""
    return repr(tuple(constant) if isinstance(constant, list) else constant)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")
