"""The actions that steer: each leaves an intent for the worker, and asks first where it would cost something."""

import math
from typing import TYPE_CHECKING

import msgspec

from cockpit.core.intents import (
    Approve,
    CancelWave,
    Discard,
    DropArm,
    End,
    Hold,
    Interrupt,
    Kill,
    MakeBase,
    MoveWave,
    Promote,
    Propose,
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
from cockpit.core.model import AttemptStatus, ClusterState, EndMode, ExperimentStatus, Mode, WaveStatus
from cockpit.decide.early_stopping import early_stopping_summary
from cockpit.decide.kept_changes import unablated
from cockpit.tui.actions.registry import Action, Here
from cockpit.tui.figures import count, duration, money
from cockpit.tui.plain import plain
from cockpit.tui.views.queue import queued
from cockpit.tui.views.summary import raw_score
from cockpit.tui.views.waves import forecast

if TYPE_CHECKING:
    from cockpit.tui.app import CockpitApp

WAVE_PLACES = frozenset({"waves", "talk", "review"})
EXPERIMENT_PLACES = frozenset({"clusters", "chart", "experiment", "log"})


# Proposals


def proposal(here: Here) -> str:
    """The proposal an action is about: the selected one, else the one that waits longest."""
    if here.wave in here.state.proposals:
        return here.wave
    if here.place in ("review", "experiment"):
        return ""
    return next(iter(here.state.proposals), "")


def _proposal_applies(here: Here) -> str:
    return "" if proposal(here) else "no proposal waits"


def _approve(app: "CockpitApp", here: Here, words: str) -> None:
    wave = words or proposal(here)
    app.send(Approve(wave), f"approve {wave}")


def _approve_trust(app: "CockpitApp", here: Here, words: str) -> None:
    wave = words or proposal(here)
    app.send(Approve(wave, trust=True), f"approve {wave} and trust its proposer within the envelope")


def _reject(app: "CockpitApp", here: Here, words: str) -> None:
    wave, _, reason = words.partition(" ")
    wave = wave or proposal(here)
    if reason:
        app.send(Reject(wave, reason), f"reject {wave}")
        return
    app.ask_line(
        f"Reject {wave}: why? The proposer reads it.",
        lambda said: app.send(Reject(wave, said), f"reject {wave}"),
    )


# Waves


def open_wave(here: Here) -> str:
    wave = here.state.waves.get(here.wave)
    return wave.id if wave is not None and wave.status in (WaveStatus.APPROVED, WaveStatus.PROPOSED) else ""


def _wave_applies(here: Here) -> str:
    return "" if open_wave(here) else "no open wave is selected"


def _cancel_wave(app: "CockpitApp", here: Here, words: str) -> None:
    wave = words or here.wave
    app.send(CancelWave(wave), f"cancel {wave}")


def _cancel_cost(here: Here) -> str:
    state, wave = here.state, here.state.waves[here.wave]
    coming = forecast(state, wave, here.now).runs
    flying = sum(state.attempts[name].experiment in wave.arms for name in state.in_flight)
    still = f", {flying} in flight may end first" if flying else ""
    return f"Cancel {wave.id}: {count(max(0, coming - flying), 'run')} will not start{still}. What was measured stays."


def _move_wave(steps: int) -> "object":
    def move(app: "CockpitApp", here: Here, words: str) -> None:
        queue = queued(here.state)
        if here.wave not in queue:
            return
        at = queue.index(here.wave)
        others = [name for name in queue if name != here.wave]
        to = max(0, min(len(others), at + steps))
        before = others[to] if to < len(others) else ""
        app.send(
            MoveWave(here.wave, before), f"move {here.wave} before {before}" if before else f"move {here.wave} last"
        )

    return move


def _movable(here: Here) -> str:
    return "" if here.wave in queued(here.state) else "no queued wave is selected"


# Holding and modes


def target(here: Here) -> str:
    """What space holds: the selected wave or cluster."""
    if here.place in ("waves", "review"):
        return here.wave if here.wave in here.state.open_waves else ""
    return here.cluster


def _held(here: Here, name: str) -> bool:
    if not name:
        return here.state.held
    if name in here.state.waves:
        return here.state.waves[name].held
    return name in here.state.clusters and here.state.clusters[name].held


def _hold_selected(app: "CockpitApp", here: Here, words: str) -> None:
    name = target(here)
    held = _held(here, name)
    app.send(Resume(name) if held else Hold(name), f"{'resume' if held else 'hold'} {name}")


def _hold_session(app: "CockpitApp", here: Here, words: str) -> None:
    held = here.state.held
    app.send(Resume() if held else Hold(), "resume the session" if held else "hold the session")


def _hold(app: "CockpitApp", here: Here, words: str) -> None:
    app.send(Hold(words), f"hold {words or 'the session'}")


def _resume(app: "CockpitApp", here: Here, words: str) -> None:
    app.send(Resume(words), f"resume {words or 'the session'}")


_MODE_HELP = {
    Mode.MANUAL: "you propose and approve",
    Mode.COPILOT: "the agent proposes, you approve",
    Mode.AUTOPILOT: "the agent runs within the envelope",
}


def _mode(app: "CockpitApp", here: Here, words: str) -> None:
    def choose(name: str) -> None:
        if name == Mode.AUTOPILOT and here.state.mode is not Mode.AUTOPILOT:
            app.confirm(_autopilot_cost(here), "autopilot", lambda: app.send(SetMode(Mode(name)), f"mode {name}"))
        else:
            app.send(SetMode(Mode(name)), f"mode {name}")

    if words:
        if words in list(Mode):
            choose(words)
        else:
            app.note(f"there is no mode {words!r}: manual, copilot or autopilot", "bad")
        return
    app.choose(
        "Who decides?", [(mode, f"{mode}: {said}") for mode, said in _MODE_HELP.items()], here.state.mode, choose
    )


def _autopilot_cost(here: Here) -> str:
    envelope = here.state.envelope
    most = money(envelope.usd) if envelope.usd else "only what is free"
    hours = f", {envelope.gpu_hours:g} GPU hours" if envelope.gpu_hours else ""
    edits = "constants and patches" if envelope.patches else "constants only"
    return f"Autopilot runs unasked within the envelope: {most}{hours}, waves of {envelope.wave_size} at most, {edits}."


def _envelope(app: "CockpitApp", here: Here, words: str) -> None:
    """`usd=40 gpu_hours=8 wave_size=12 patches=yes filler=no`: what is named changes."""
    changes: dict[str, object] = {}
    for part in words.split():
        name, _, given = part.partition("=")
        if name in ("usd", "gpu_hours"):
            number = _number(given)
            if number is None:
                app.note(f"{name} takes a number, not {given!r}", "bad")
                return
            changes[name] = number
        elif name == "wave_size" and given.isdigit():
            changes[name] = int(given)
        elif name in ("patches", "filler") and given in ("yes", "no"):
            changes[name] = given == "yes"
        else:
            app.note("envelope takes usd=, gpu_hours=, wave_size=, patches=yes|no, filler=yes|no", "bad")
            return
    if not changes:
        app.note(_autopilot_cost(here), "accent")
        return
    app.send(SetEnvelope(msgspec.structs.replace(here.state.envelope, **changes)), f"envelope {words}")


def _budget(app: "CockpitApp", here: Here, words: str) -> None:
    usd = _number(words.lstrip("$"))
    if usd is None or usd < 0:
        app.note("budget takes dollars, 0 for no cap: `:budget 300`", "bad")
        return
    app.send(SetBudget(usd), f"budget {money(usd)}")


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _ablate(app: "CockpitApp", here: Here, words: str) -> None:
    from cockpit.agent.proposers.ablate import ablations

    made = ablations(here.state)
    if made is not None:
        app.send(Propose(made), f"propose to drop {count(len(made.arms), 'kept change')} again")


def _ablatable(here: Here) -> str:
    return "" if unablated(here.state) else "nothing was kept that is still to be dropped"


def _early_stopping(app: "CockpitApp", here: Here, words: str) -> None:
    if words in ("on", "off"):
        app.send(SetEarlyStopping(words == "on"), f"early stopping {words}")
    else:
        app.note(early_stopping_summary(here.state.early_stops) or "early takes on or off: `:early off`", "accent")


def _proposer(app: "CockpitApp", here: Here, words: str) -> None:
    if words:
        app.send(SetProposer(words), f"proposer {words}")
    else:
        app.note("proposer takes a name: `:proposer tpe`", "bad")


def _say(app: "CockpitApp", here: Here, words: str) -> None:
    if words:
        app.send(Say(words), "")
    else:
        app.focus_say()


def _interrupt(app: "CockpitApp", here: Here, words: str) -> None:
    app.send(Interrupt(), "end the proposer's turn")


def _asking(here: Here) -> str:
    return "" if here.state.asks else "no proposer is at work"


# Runs and experiments


def running(here: Here) -> str:
    """The attempt that would be killed."""
    state = here.state
    if here.attempt in state.in_flight:
        return here.attempt
    known = state.experiments.get(here.experiment)
    return next((name for name in reversed(known.attempts) if name in state.in_flight), "") if known else ""


def _running_applies(here: Here) -> str:
    return "" if running(here) else "nothing runs here"


def _kill(app: "CockpitApp", here: Here, words: str) -> None:
    attempt = words or running(here)
    app.send(Kill(attempt, "killed by hand"), f"kill {attempt}")


def _kill_cost(here: Here) -> str:
    attempt = here.state.attempts[running(here)]
    cluster = here.state.clusters[attempt.cluster]
    if attempt.status is not AttemptStatus.RUNNING:
        return f"Kill {attempt.id} on {plain(cluster.name)}: it has not started, nothing is lost."
    ran_s = max(0.0, here.now - attempt.started_at)
    usd = ran_s / 3600 * cluster.usd_per_hour
    lost = duration(ran_s) + " of training" + f", {money(usd)}," * (usd > 0)
    return f"Kill {attempt.id} on {plain(cluster.name)}: {lost} will be lost."


def _experiment_applies(here: Here) -> str:
    return "" if here.experiment in here.state.experiments else "no experiment is selected"


def _measured(here: Here) -> str:
    known = here.state.experiments.get(here.experiment)
    return "" if known is not None and known.scores else "it has no result yet"


def _rerun(app: "CockpitApp", here: Here, words: str) -> None:
    name = words or here.experiment
    app.send(Rerun(name), f"run {name} again with another seed")


def _promote(app: "CockpitApp", here: Here, words: str) -> None:
    name = words or here.experiment
    app.send(Promote(name), f"validate {name} on the better class")


def _promotable(here: Here) -> str:
    if not here.state.session.fleet.validate_hardware:
        return "there is one class of hardware only"
    return _measured(here)


def _make_base(app: "CockpitApp", here: Here, words: str) -> None:
    name = words or here.experiment
    app.send(MakeBase(name), f"make {name} the base")


def _base_cost(here: Here) -> str:
    name = here.experiment
    value, hardware = raw_score(here.state, name)
    return (
        f"Make {name} the base on your word ({value:.4f} on {plain(hardware)}): new waves build on it,"
        f" and {here.state.incumbent or here.state.baseline} is the incumbent no more."
    )


def _discard(app: "CockpitApp", here: Here, words: str) -> None:
    name = words or here.experiment
    app.send(Discard(name), f"discard {name}")


def _droppable(here: Here) -> str:
    known = here.state.experiments.get(here.experiment)
    waits = (ExperimentStatus.PROPOSED, ExperimentStatus.QUEUED, ExperimentStatus.RUNNING)
    return "" if known is not None and known.status in waits else "nothing of it is left to drop"


def _drop_arm(app: "CockpitApp", here: Here, words: str) -> None:
    name = words or here.experiment
    if here.place == "review" and here.wave in here.state.proposals:
        app.edit_arms("drop-arm")
        return
    app.send(DropArm(name), f"drop {name}")


def _drop_cost(here: Here) -> str:
    return f"Drop {here.experiment}: it will not be measured. What runs of it is let go."


def _relaunchable(here: Here) -> str:
    cluster = here.state.clusters.get(here.cluster)
    gone = (ClusterState.GIVEN_UP, ClusterState.LOST, ClusterState.DOWN)
    return "" if cluster is not None and cluster.state in gone else "the cluster is up"


def _relaunch(app: "CockpitApp", here: Here, words: str) -> None:
    name = words or here.cluster
    app.send(Relaunch(name), f"launch {name} again")


def _end(app: "CockpitApp", here: Here, words: str) -> None:
    running_now = len(here.state.in_flight)
    choices = [
        ("", "Cancel: go on"),
        ("drain", f"drain: let the {count(running_now, 'run')} in flight finish, clusters stay up"),
        ("drain+down", "drain, then take the clusters down"),
        ("cancel", f"end the {count(running_now, 'run')} in flight now; what they cost is lost"),
        ("cancel+down", "end them now and take the clusters down"),
    ]

    def chosen(how: str) -> None:
        if how:
            kind, _, down = how.partition("+")
            app.send(End(EndMode(kind), bool(down)), f"end the session: {how}")

    app.choose("End the session? Queued work stays in the ledger.", choices, "", chosen)


STEERING: tuple[Action, ...] = (
    Action("approve", "approve", "Approve the proposal: its arms are queued", _approve, ("a",),
           acting=True, takes="WAVE", applies=_proposal_applies, footer=1, group="proposals"),
    Action("trust", "trust", "Approve it, and let the envelope approve this proposer's later waves",
           _approve_trust, ("A",), acting=True, takes="WAVE", applies=_proposal_applies, footer=2, group="proposals"),
    Action("reject", "reject", "Reject the proposal, with a reason the proposer reads", _reject, ("r",),
           acting=True, takes="WAVE REASON", applies=_proposal_applies, footer=2, group="proposals"),
    Action("hold-this", "hold", "Hold or resume the selected wave or cluster: what runs goes on, nothing new starts",
           _hold_selected, ("space",), frozenset({"waves", "clusters", "review"}), acting=True,
           applies=lambda here: "" if target(here) else "nothing to hold is selected", footer=6, group="waves"),
    Action("hold-all", "hold all", "Hold or resume the whole session", _hold_session, ("H",), acting=True, footer=14),
    Action("hold", "hold", "Hold a wave, a cluster, or everything", _hold, acting=True, takes="[WAVE|CLUSTER]"),
    Action("resume", "resume", "Resume a wave, a cluster, or everything", _resume, acting=True,
           takes="[WAVE|CLUSTER]"),
    Action("mode", "mode", "Who decides: manual, copilot or autopilot", _mode, ("m",), acting=True,
           takes="[MODE]", footer=13),
    Action("cancel-wave", "cancel wave", "Cancel the selected wave", _cancel_wave, ("x",), frozenset({"waves"}),
           acting=True, takes="WAVE", applies=_wave_applies, danger=_cancel_cost, footer=8, group="waves"),
    Action("wave-up", "sooner", "Run the selected wave sooner", _move_wave(-1), ("K", "shift+up"),  # type: ignore[arg-type]
           frozenset({"waves"}), acting=True, applies=_movable, footer=9, group="waves"),
    Action("wave-down", "later", "Run the selected wave later", _move_wave(1), ("J", "shift+down"),  # type: ignore[arg-type]
           frozenset({"waves"}), acting=True, applies=_movable, footer=10, group="waves"),
    Action("kill", "kill", "End the running attempt", _kill, ("x",), EXPERIMENT_PLACES, acting=True,
           takes="ATTEMPT", applies=_running_applies, danger=_kill_cost, footer=8, group="experiments"),
    Action("rerun", "rerun", "Measure the experiment again with another seed", _rerun, ("R",), EXPERIMENT_PLACES,
           acting=True, takes="EXPERIMENT", applies=_experiment_applies, footer=9, group="experiments"),
    Action("promote", "promote", "Run it on the better class", _promote, ("P",), EXPERIMENT_PLACES,
           acting=True, takes="EXPERIMENT", applies=_promotable, footer=10, group="experiments"),
    Action("base", "make base", "Make it the incumbent, on your word", _make_base, ("B",), EXPERIMENT_PLACES,
           acting=True, takes="EXPERIMENT", applies=_measured, danger=_base_cost, footer=11, group="experiments"),
    Action("discard", "discard", "Discard it, on your word", _discard, acting=True, takes="EXPERIMENT",
           applies=_measured, group="experiments"),
    Action("drop", "drop arm", "Drop the arm: it will not be measured", _drop_arm, ("D",),
           EXPERIMENT_PLACES | {"review"}, acting=True, takes="EXPERIMENT", applies=_droppable, danger=_drop_cost,
           footer=12, group="experiments"),
    Action("relaunch", "relaunch", "Try a cluster again that was given up", _relaunch, ("u",),
           frozenset({"clusters"}), acting=True, takes="CLUSTER", applies=_relaunchable, footer=7, group="clusters"),
    Action("say", "say", "Say something to the proposer", _say, ("i",), acting=True, takes="WORDS", footer=12),
    Action("interrupt", "interrupt", "End the proposer's turn", _interrupt, ("escape",), frozenset({"talk"}),
           acting=True, applies=_asking, footer=4),
    Action("budget", "budget", "Set the session's cap in dollars, GPU and API together", _budget, acting=True,
           takes="USD"),
    Action("envelope", "envelope", "What autopilot may do unasked", _envelope, acting=True, takes="usd=40 …"),
    Action("ablate", "ablate", "Propose to drop each kept change once, to see whether it still helps", _ablate,
           acting=True, applies=_ablatable),
    Action("early", "early stopping", "End runs that cannot reach the incumbent any more, or let all run",
           _early_stopping, acting=True, takes="on|off"),
    Action("proposer", "proposer", "Who proposes from now on", _proposer, acting=True, takes="NAME"),
    Action("end", "end session", "End the session: drain or cancel, clusters down or not", _end, ("E",), acting=True),
)  # fmt: skip
