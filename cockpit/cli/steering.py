"""The commands that steer a session: a table of what each takes and which intent it leaves for the worker.

What a dangerous one would cost is worded once, in the screen's registry of actions; here it is asked about by name.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cockpit.cli.arguments import amount, whole
from cockpit.cli.locate import CommandError, session_now
from cockpit.core.intents import (
    Approve,
    CancelWave,
    Discard,
    DropArm,
    Hold,
    Intent,
    Interrupt,
    Kill,
    MakeBase,
    MoveWave,
    Note,
    Promote,
    Reject,
    Relaunch,
    Rerun,
    Resume,
    Say,
    SetBudget,
    SetEarlyStopping,
    SetEnvelope,
    SetMode,
    SetProposer,
)
from cockpit.core.model import Envelope, Mode
from cockpit.core.state import State

Argument = tuple[tuple[str, ...], Mapping[str, Any]]
Make = Callable[[Namespace, State], Intent | str]
"""The intent, or what is to be shown instead of one."""


def _takes(*flags: str, **how: Any) -> Argument:
    return flags, how


_REASON = _takes("reason", nargs="?", default="", metavar="REASON", help="kept in the ledger, and read by the proposer")
_EXPERIMENT = _takes("experiment", metavar="EXPERIMENT")
_WAVE = _takes("wave", metavar="WAVE")


@dataclass(frozen=True)
class Steer:
    """A command that leaves one intent. `done` is worded with what it was given."""

    name: str
    help: str
    make: Make = field(repr=False)
    done: str
    takes: tuple[Argument, ...] = ()
    asks: str = ""
    """The action of the screen's registry that says what it costs; it is asked about first."""
    about: str = ""
    """What that action acts on: `experiment`, `attempt` or `wave`, given under the same name."""


def _running_attempt(given: Namespace, state: State) -> str:
    """`e0042` names the attempt of it that runs, `e0042.1` that very one."""
    experiment = state.experiments.get(given.attempt)
    if experiment is None:
        return str(given.attempt)
    running = [name for name in experiment.attempts if name in state.in_flight]
    if len(running) > 1:
        raise CommandError(f"{experiment.id} runs {len(running)} times: name one of {', '.join(running)}")
    if not running:
        raise CommandError(f"{experiment.id} is not running")
    return running[0]


def _kill(given: Namespace, state: State) -> Intent:
    given.attempt = _running_attempt(given, state)
    return Kill(given.attempt, given.reason)


def _envelope(given: Namespace, state: State) -> Intent | str:
    names = ("usd", "gpu_hours", "wave_size", "patches", "filler")
    changes = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    if given.hours is not None:
        changes["until"] = session_now(state) + given.hours * 3600 if given.hours else 0.0
    if not changes:
        return envelope_words(state.envelope, session_now(state))
    return SetEnvelope(msgspec.structs.replace(state.envelope, **changes))


def envelope_words(envelope: Envelope, now: float) -> str:
    """What autopilot may do unasked, in a line."""
    dollars = f"${envelope.usd:,.2f}" if envelope.usd else "what is free"
    hours = f", {envelope.gpu_hours:g} GPU-hours" if envelope.gpu_hours else ""
    edits = "constants and patches" if envelope.patches else "constants only"
    filler = "with filler" if envelope.filler else "without filler"
    left_h = (envelope.until - now) / 3600
    until = (f", for {left_h:.1f} hours more" if left_h > 0 else ", ended") if envelope.until else ""
    return f"{dollars}{hours}, waves of {envelope.wave_size} arms at most, {edits}, {filler}{until}"


def _yes_no(name: str, text: str) -> tuple[Argument, Argument]:
    return (
        _takes(f"--{name}", dest=name, action="store_const", const=True, help=text),
        _takes(f"--no-{name}", dest=name, action="store_const", const=False),
    )


STEERING: tuple[Steer, ...] = (
    Steer("approve", "approve a waiting wave", lambda g, s: Approve(g.wave, g.trust), "{wave} is approved",
          (_WAVE, _takes("--trust", action="store_true",
                         help="also let the envelope approve this proposer's later waves"))),
    Steer("reject", "reject a waiting wave", lambda g, s: Reject(g.wave, g.reason), "{wave} is rejected",
          (_WAVE, _REASON)),
    Steer("cancel", "cancel a wave: what it has not started is not started",
          lambda g, s: CancelWave(g.wave, g.reason), "{wave} is cancelled", (_WAVE, _REASON),
          asks="cancel-wave", about="wave"),
    Steer("move", "run a wave sooner or later", lambda g, s: MoveWave(g.wave, g.before),
          "{wave} is moved", (_WAVE, _takes("--before", metavar="WAVE", default="", help="default: last"))),
    Steer("drop", "drop an arm: it will not be measured", lambda g, s: DropArm(g.experiment, g.reason),
          "{experiment} is dropped", (_EXPERIMENT, _REASON), asks="drop", about="experiment"),
    Steer("hold", "start nothing new: in a session, a wave or a cluster", lambda g, s: Hold(g.target),
          "{target} is held: what runs goes on, nothing new starts",
          (_takes("target", nargs="?", default="", metavar="WAVE|CLUSTER"),)),
    Steer("resume", "go on after a hold", lambda g, s: Resume(g.target), "{target} goes on",
          (_takes("target", nargs="?", default="", metavar="WAVE|CLUSTER"),)),
    Steer("rerun", "measure an experiment again, with another seed",
          lambda g, s: Rerun(g.experiment, g.hardware), "{experiment} is measured again",
          (_EXPERIMENT, _takes("--hardware", default="", metavar="CLASS", help="such as H100; default: any"))),
    Steer("promote", "run an experiment on the better class", lambda g, s: Promote(g.experiment),
          "{experiment} is promoted", (_EXPERIMENT,)),
    Steer("base", "make an experiment the incumbent, on your word",
          lambda g, s: MakeBase(g.experiment, g.reason), "{experiment} is the base", (_EXPERIMENT, _REASON),
          asks="base", about="experiment"),
    Steer("discard", "discard an experiment, on your word", lambda g, s: Discard(g.experiment, g.reason),
          "{experiment} is discarded", (_EXPERIMENT, _REASON)),
    Steer("kill", "end a running attempt, without result", _kill, "{attempt} is being ended",
          (_takes("attempt", metavar="ATTEMPT"), _REASON), asks="kill", about="attempt"),
    Steer("relaunch", "try a cluster again that is lost or was given up", lambda g, s: Relaunch(g.cluster),
          "{cluster} is launched again", (_takes("cluster", metavar="CLUSTER"),)),
    Steer("mode", "say who decides", lambda g, s: SetMode(Mode(g.mode)), "the mode is {mode}",
          (_takes("mode", choices=[str(mode) for mode in Mode]),)),
    Steer("proposer", "say who proposes from now on", lambda g, s: SetProposer(g.proposer),
          "{proposer} proposes from now on", (_takes("proposer", metavar="NAME"),)),
    Steer("budget", "cap the session's dollars, GPU and API together", lambda g, s: SetBudget(g.usd),
          "the budget is ${usd:,.2f}", (_takes("usd", type=amount, metavar="DOLLARS", help="0 for no cap"),)),
    Steer("early", "say whether runs that cannot reach the incumbent any more are ended",
          lambda g, s: SetEarlyStopping(g.switch == "on"), "early stopping is {switch}",
          (_takes("switch", choices=["on", "off"]),)),
    Steer("envelope", "say what autopilot may do unasked; without options, show it", _envelope,
          "the envelope is changed",
          (_takes("--usd", type=amount, metavar="DOLLARS"), _takes("--gpu-hours", type=amount, metavar="HOURS"),
           _takes("--wave-size", type=whole, metavar="ARMS"),
           _takes("--hours", type=amount, metavar="HOURS", help="it ends so long from now; 0 for no end"),
           *_yes_no("patches", "edits of code too, not constants only"),
           *_yes_no("filler", "fill clusters that would stand idle"))),
    Steer("say", "say something to the proposer", lambda g, s: Say(" ".join(g.words)), "said",
          (_takes("words", nargs="+", metavar="WORD"),)),
    Steer("interrupt", "end the proposer's turn", lambda g, s: Interrupt(), "the proposer's turn is ended"),
    Steer("finding", "record what was learned", lambda g, s: Note(g.claim, tuple(g.experiments)), "recorded",
          (_takes("claim"), _takes("experiments", nargs="*", metavar="EXPERIMENT", help="that carry it"))),
    Steer("phase", "name the phase of the work that begins", lambda g, s: Note(g.phase, phase=True),
          "the phase is {phase}", (_takes("phase", metavar="NAME"),)),
)  # fmt: skip


def cost_of(steer: Steer, given: Namespace, state: State, now: float) -> str:
    """What it would cost, in a sentence; empty where it asks nothing, or does not apply and will be refused."""
    if not steer.asks:
        return ""
    from cockpit.tui.actions import steering as acting
    from cockpit.tui.actions.registry import Here

    action = next(action for action in acting.STEERING if action.name == steer.asks)
    name = getattr(given, steer.about)
    here = Here(state, now, "", **{steer.about: name})
    known: dict[str, Mapping[str, object]] = {
        "wave": state.waves,
        "experiment": state.experiments,
        "attempt": state.attempts,
    }
    if name not in known[steer.about] or action.applies(here) or action.cost is None:
        return ""
    return action.cost(here, "")
