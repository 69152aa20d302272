"""The report of a session as one HTML file: nothing is loaded from elsewhere, and no text of a run is markup."""

from markupsafe import Markup

from cockpit.core.state import State
from cockpit.report.bars import scale_of
from cockpit.report.chart import NARROW
from cockpit.report.contents import contents
from cockpit.report.page import environment
from cockpit.report.svg import svg

DIFF_CHARACTERS = 60_000


def html(state: State, now: float, diff: str | None = None) -> str:
    """Return the page, at `now` on the session's clock.

    `diff` is the change of the best variant to the unchanged code; None without the repository.
    """
    found = contents(state, now)
    return (
        environment(found.metric)
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
