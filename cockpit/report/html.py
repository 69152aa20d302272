"""The report of a session as one HTML file: nothing is loaded from elsewhere, and no text of a run is markup."""

from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cockpit.core.state import State
from cockpit.read.effects import is_clear
from cockpit.read.wording import value
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
            chart=Markup(svg(found.dots, found.line, alone, found.hours, found.classes)),
            legend=legend(found.classes),
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
    environment.tests["clear"] = _clear
    environment.filters |= {"clock": _clock, "value": value, "signed": _signed}
    return environment


def _shown(value: object) -> object:
    """Text of runs, models and people without the characters that a reader's program might obey."""
    return "".join(c if c.isprintable() else " " for c in value) if type(value) is str else value


def _clear(effect: FactorEffect) -> bool:
    return is_clear(effect.estimate)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


def _signed(value: float, digits: int = 4) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
