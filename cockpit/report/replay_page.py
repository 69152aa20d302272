"""Write the night as one static page that plays: the progress chart and the clusters' runs, uncovered over time.

The pictures and the sentences are complete in the page. Its script only moves the curtain, shows sentences whose time
has come, and counts; the policy of the page names that script by its hash, so nothing else can run there.
"""

import base64
import hashlib
import json
from importlib.resources import files

import msgspec
from markupsafe import Markup

from cockpit.core.running_time import running_h
from cockpit.core.state import State
from cockpit.read.kept_stack import kept_words
from cockpit.read.scores import kept_experiments
from cockpit.report.chart import Chart, Frame
from cockpit.report.contents import Contents, contents
from cockpit.report.lanes import lanes
from cockpit.report.page import environment
from cockpit.report.svg import svg

FRAME = Frame(960, 420, 66, 60, 60, 50, 12, 6)
SPEEDS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 60)
"""Minutes of the session per second. The page begins with the slowest one that plays it in about a minute."""
SENTENCES_AT_MOST = 600
TEXT_CHARACTERS = 300


class ReplaySentence(msgspec.Struct, frozen=True):
    """A sentence that the page shows from `hours` on."""

    hours: float
    text: str
    kept: bool


def replay_html(state: State, now: float) -> str:
    """Return the page, up to `now`. The page of an empty session has no pictures."""
    found = contents(state, now)
    chart = found.charts[0] if found.charts else None
    script = files("cockpit.report").joinpath("replay.js").read_text(encoding="utf-8")
    picture = lanes(state, chart, FRAME, state.ended_at or now) if chart else None
    return (
        environment(found.metric)
        .get_template("replay.html.j2")
        .render(
            s=found,
            chart=Markup(_with_curtain(svg(chart, FRAME), chart)) if chart else "",
            lanes=Markup(picture.svg) if picture else "",
            left_out=picture.left_out if picture else 0,
            sentences=replay_sentences(state),
            speeds=SPEEDS,
            speed=next((speed for speed in SPEEDS if speed >= 0.9 * found.heading.hours), SPEEDS[-1]),
            data=Markup(_numbers(state, found, chart)),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def replay_sentences(state: State) -> list[ReplaySentence]:
    """Return the sentences of the night in order: questions asked, changes kept, findings and phases."""
    times = {one.experiment: one.at for one in state.incumbencies}
    found = [
        ReplaySentence(running_h(state, times[name]), kept_words(state, name), True) for name in kept_experiments(state)
    ]
    found += [
        ReplaySentence(running_h(state, wave.decided_at), f"{wave.id} runs: {wave.question}"[:TEXT_CHARACTERS], False)
        for wave in state.waves.values()
        if wave.decided_at and wave.arms
    ]
    found += [
        ReplaySentence(running_h(state, message.at), f"{message.author}: {message.text}"[:TEXT_CHARACTERS], False)
        for message in state.messages
        if message.kind in ("finding", "phase")
    ]
    kept = [one for one in found if one.kept]
    others = [one for one in found if not one.kept]
    some = kept[-SENTENCES_AT_MOST:] + others[:: max(1, -(-len(others) // SENTENCES_AT_MOST))]
    return sorted((ReplaySentence(round(one.hours, 4), one.text, one.kept) for one in some), key=lambda one: one.hours)


def _with_curtain(drawn: str, chart: Chart) -> str:
    """Return the chart with a curtain over its plot, which the script moves."""
    top, base = FRAME.top - 14, FRAME.height - FRAME.bottom - 1
    curtain = (
        f'<rect class="curtain" x="{FRAME.x(1.0):.1f}" y="0" width="0" height="{base:.0f}" fill="#fff"/>'
        f'<path class="now" d="M0 {top:.0f}V{base:.0f}" stroke="#444" stroke-dasharray="2 3" visibility="hidden"/>'
    )
    return drawn.removesuffix("</svg>") + curtain + "</svg>"


def _numbers(state: State, found: Contents, chart: Chart | None) -> str:
    """Return the numbers that the script counts with, as JSON that holds no character of markup."""
    ends = sorted(
        round(running_h(state, attempt.ended_at), 4)
        for attempt in state.attempts.values()
        if attempt.metrics is not None
    )
    numbers = {
        "hours": found.heading.hours,
        "left": FRAME.left,
        "right": FRAME.x(1.0),
        "measured": ends,
        "best": [[step.hours, round(step.value, 6), step.experiment] for step in chart.best] if chart else [],
    }
    return json.dumps(numbers, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
