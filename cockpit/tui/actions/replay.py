"""The actions of a replay: pause, speed, and where in the night one looks. They take their keys from all others."""

import re
from typing import TYPE_CHECKING

from cockpit.tui.actions.registry import Action, Here
from cockpit.tui.feed import ReplayFeed

if TYPE_CHECKING:
    from cockpit.tui.app import CockpitApp

STEP_S = 300.0
LONG_STEP_S = 3600.0
SPEEDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SPAN = re.compile(r"([+-]?)((?:\d+(?:\.\d+)?[dhms])+)")


def seconds_in(text: str) -> tuple[str, float] | None:
    """(sign or nothing, seconds) of `3h20m`, `+10m`, `-90s`; None where it is not such."""
    found = _SPAN.fullmatch(text.replace(" ", "").lower())
    if found is None:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", found.group(2))
    return found.group(1), sum(float(number) * _UNITS[unit] for number, unit in parts)


def next_speed(speed: float, steps: int) -> float:
    """The next of SPEEDS above `speed` (1) or below it (−1); the last stays."""
    beyond = [one for one in SPEEDS if (one > speed if steps > 0 else one < speed)]
    return (min(beyond) if steps > 0 else max(beyond)) if beyond else speed


def _feed(app: "CockpitApp") -> ReplayFeed:
    feed = app.feed
    assert isinstance(feed, ReplayFeed)
    return feed


def _pause(app: "CockpitApp", here: Here, words: str) -> None:
    _feed(app).pause()
    app.show_state()


def _seek(seconds: float):  # type: ignore[no-untyped-def]
    return lambda app, here, words: app.seek(_feed(app).now() + seconds)


def _seek_words(app: "CockpitApp", here: Here, words: str) -> None:
    feed = _feed(app)
    found = seconds_in(words)
    if found is None:
        app.note("seek takes a time into the session, or one from here: `:seek 3h20m`, `:seek -10m`", "bad")
        return
    sign, seconds = found
    app.seek({"": feed.began + seconds, "+": feed.now() + seconds, "-": feed.now() - seconds}[sign])


def _speed(steps: int):  # type: ignore[no-untyped-def]
    def change(app: "CockpitApp", here: Here, words: str) -> None:
        feed = _feed(app)
        feed.speed = next_speed(feed.speed, steps)
        app.show_state()

    return change


REPLAYING: tuple[Action, ...] = (
    Action("pause", "pause", "Stand still, or go on", _pause, ("space",), footer=1, group="replay"),
    Action("back-5m", "−5 min", "Five minutes back", _seek(-STEP_S), ("left",), footer=2, group="replay"),
    Action("on-5m", "+5 min", "Five minutes on", _seek(STEP_S), ("right",), footer=3, group="replay"),
    Action("back-1h", "−1 h", "An hour back", _seek(-LONG_STEP_S), ("shift+left",), group="replay"),
    Action("on-1h", "+1 h", "An hour on", _seek(LONG_STEP_S), ("shift+right",), group="replay"),
    Action("start", "start", "To the session's start", lambda app, here, words: app.seek(_feed(app).began),
           ("home",), footer=6, group="replay"),
    Action("end-of-night", "end", "To the session's end", lambda app, here, words: app.seek(_feed(app).ended),
           ("end",), footer=7, group="replay"),
    Action("faster", "faster", "Faster", _speed(1), ("plus",), footer=4, group="replay"),
    Action("slower", "slower", "Slower", _speed(-1), ("minus",), footer=4, group="replay"),
    Action("seek", "seek", "To a time into the session, or one from here", _seek_words, takes="3h20m|+10m|-10m",
           group="replay"),
)  # fmt: skip
