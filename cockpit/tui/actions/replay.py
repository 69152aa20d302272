"""The actions of a replay: pause, speed, and the moment shown. Their keys go before those of all other actions."""

import re

from cockpit.tui.actions.effects import Effects, PauseReplay, Problem, SeekReplay, SetReplaySpeed
from cockpit.tui.actions.registry import Action, Here, ReplayPosition, Run

STEP_S = 300.0
LONG_STEP_S = 3600.0
SPEEDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SPAN = re.compile(r"([+-]?)((?:\d+(?:\.\d+)?[dhms])+)")


def seconds_in(text: str) -> tuple[str, float] | None:
    """Parse `3h20m`, `+10m` or `-90s` into (sign or nothing, seconds); None for any other text."""
    found = _SPAN.fullmatch(text.replace(" ", "").lower())
    if found is None:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", found.group(2))
    return found.group(1), sum(float(number) * _UNITS[unit] for number, unit in parts)


def next_speed(speed: float, steps: int) -> float:
    """Return the next of SPEEDS above `speed` (1) or below it (−1); the last one stays."""
    beyond = [one for one in SPEEDS if (one > speed if steps > 0 else one < speed)]
    return (min(beyond) if steps > 0 else max(beyond)) if beyond else speed


def _position(here: Here) -> ReplayPosition:
    if here.replay is None:
        raise Problem("this is not a replay")
    return here.replay


def _step(seconds: float) -> Run:
    return lambda here, words: (SeekReplay(_position(here).at + seconds),)


def _seek(here: Here, words: str) -> Effects:
    found = seconds_in(words)
    if found is None:
        raise Problem("seek takes a time into the session, or one from here: `:seek 3h20m`, `:seek -10m`")
    position = _position(here)
    sign, seconds = found
    times = {"": position.began + seconds, "+": position.at + seconds, "-": position.at - seconds}
    return (SeekReplay(times[sign]),)


def _speed(steps: int) -> Run:
    return lambda here, words: (SetReplaySpeed(next_speed(_position(here).speed, steps)),)


REPLAY: tuple[Action, ...] = (
    Action("pause", "pause", "Pause, or resume", (PauseReplay(),), keys=("space",), footer=1, group="replay"),
    Action("back-5m", "−5 min", "Go five minutes back", run=_step(-STEP_S), keys=("left",), footer=2, group="replay"),
    Action("on-5m", "+5 min", "Go five minutes on", run=_step(STEP_S), keys=("right",), footer=3, group="replay"),
    Action("back-1h", "−1 h", "Go an hour back", run=_step(-LONG_STEP_S), keys=("shift+left",), group="replay"),
    Action("on-1h", "+1 h", "Go an hour on", run=_step(LONG_STEP_S), keys=("shift+right",), group="replay"),
    Action("start", "to the start", "Go to the session's start",
           run=lambda here, words: (SeekReplay(_position(here).began),), keys=("home",), footer=6, group="replay"),
    Action("end-of-night", "to the end", "Go to the session's end",
           run=lambda here, words: (SeekReplay(_position(here).ended),), keys=("end",), footer=7, group="replay"),
    Action("faster", "faster", "Play faster", run=_speed(1), keys=("plus",), footer=4, group="replay"),
    Action("slower", "slower", "Play slower", run=_speed(-1), keys=("minus",), footer=4, group="replay"),
    Action("seek", "seek", "Go to a time into the session, or one from here", run=_seek, takes="3h20m|+10m|-10m",
           group="replay"),
)  # fmt: skip
