"""The report of a session as one HTML file: nothing is loaded from elsewhere, and no text of a run is markup."""

from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cockpit.core.model import Value
from cockpit.core.state import State
from cockpit.report.chart import legend, svg
from cockpit.report.story import story
from cockpit.science.effects import FactorEffect


def html(state: State, now: float) -> str:
    """Return the page, at `now` on the session's clock."""
    found = story(state, now)
    alone = found.alone.best if found.alone else ()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            s=found,
            chart=Markup(svg(found.dots, found.line, alone, found.hours)),
            legend=legend(found.dots),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cockpit.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["told"] = _told
    environment.filters |= {"clock": _clock, "value": _value, "signed": _signed}
    return environment


def _shown(value: object) -> object:
    """Text of runs, models and people without the characters that a reader's program might obey."""
    return "".join(c if c.isprintable() else " " for c in value) if type(value) is str else value


def _told(effect: FactorEffect) -> bool:
    """Return True if its interval leaves 0 out."""
    return effect.estimate.low > 0 or effect.estimate.high < 0


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


def _value(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _signed(value: float, digits: int = 4) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
