"""The actions that steer: each sends an intent to the worker, and asks first where it costs something."""

import math

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
from cockpit.read.costs import wave_cost
from cockpit.tui.actions import pages, subjects
from cockpit.tui.actions.effects import AskLine, Choose, Confirm, Effects, FocusSay, Note, Problem, Send
from cockpit.tui.actions.registry import Action, Here, Run
from cockpit.tui.actions.subjects import no_experiment, no_proposal, proposal
from cockpit.tui.figures import count, duration, money
from cockpit.tui.plain import plain
from cockpit.tui.views.queue import queued
from cockpit.tui.views.summary import raw_score

WAVE_PLACES = frozenset({"waves", "talk", "review"})
EXPERIMENT_PLACES = frozenset({"clusters", "chart", "experiment", "log"})


# Proposals


def _approve(here: Here, words: str) -> Effects:
    wave = words or proposal(here)
    return (Send(Approve(wave), f"approve {wave}"),)


def _approve_trust(here: Here, words: str) -> Effects:
    wave = words or proposal(here)
    return (Send(Approve(wave, trust=True), f"approve {wave} and trust its proposer within the envelope"),)


def _reject(here: Here, words: str) -> Effects:
    wave, _, reason = words.partition(" ")
    wave = wave or proposal(here)
    if reason:
        return (Send(Reject(wave, reason), f"reject {wave}"),)
    question = f"Reject {wave}: why? The proposer reads it."
    return (AskLine(question, lambda said: (Send(Reject(wave, said), f"reject {wave}"),)),)


# Waves


def open_wave(here: Here) -> str:
    wave = here.state.waves.get(here.wave)
    return wave.id if wave is not None and wave.status in (WaveStatus.APPROVED, WaveStatus.PROPOSED) else ""


def _wave_applies(here: Here) -> str:
    return "" if open_wave(here) else "no open wave is selected"


def _cancel_wave(here: Here, words: str) -> Effects:
    wave = words or here.wave
    return (Send(CancelWave(wave), f"cancel {wave}"),)


def _cancel_cost(here: Here, words: str) -> str:
    if words:
        return f"{words}: sure?"
    state, wave = here.state, here.state.waves[here.wave]
    coming = wave_cost(state, wave).runs
    flying = sum(state.attempts[name].experiment in wave.arms for name in state.in_flight)
    still = f", {flying} in flight may end first" if flying else ""
    return f"Cancel {wave.id}: {count(max(0, coming - flying), 'run')} will not start{still}. What was measured stays."


def _move_wave(steps: int) -> Run:
    def move(here: Here, words: str) -> Effects:
        queue = queued(here.state)
        if here.wave not in queue:
            return ()
        at = queue.index(here.wave)
        others = [name for name in queue if name != here.wave]
        to = max(0, min(len(others), at + steps))
        before = others[to] if to < len(others) else ""
        said = f"move {here.wave} before {before}" if before else f"move {here.wave} last"
        return (Send(MoveWave(here.wave, before), said),)

    return move


def _movable(here: Here) -> str:
    return "" if here.wave in queued(here.state) else "no queued wave is selected"


# Holding and modes


def _held(here: Here, name: str) -> bool:
    if not name:
        return here.state.held
    if name in here.state.waves:
        return here.state.waves[name].held
    return name in here.state.clusters and here.state.clusters[name].held


def _hold_selected(here: Here, words: str) -> Effects:
    name = subjects.holdable(here)
    held = _held(here, name)
    return (Send(Resume(name) if held else Hold(name), f"{'resume' if held else 'hold'} {name}"),)


def _hold_session(here: Here, words: str) -> Effects:
    held = here.state.held
    return (Send(Resume() if held else Hold(), "resume the session" if held else "hold the session"),)


def _hold(here: Here, words: str) -> Effects:
    return (Send(Hold(words), f"hold {words or 'the session'}"),)


def _resume(here: Here, words: str) -> Effects:
    return (Send(Resume(words), f"resume {words or 'the session'}"),)


_MODE_HELP = {
    Mode.MANUAL: "you propose and approve",
    Mode.COPILOT: "the agent proposes, you approve",
    Mode.AUTOPILOT: "the agent runs within the envelope",
}


def _mode(here: Here, words: str) -> Effects:
    def choose(name: str) -> Effects:
        effects = (Send(SetMode(Mode(name)), f"mode {name}"),)
        if name == Mode.AUTOPILOT and here.state.mode is not Mode.AUTOPILOT:
            return (Confirm(_autopilot_cost(here), "autopilot", effects),)
        return effects

    if words and words not in list(Mode):
        raise Problem(f"there is no mode {words!r}: manual, copilot or autopilot")
    if words:
        return choose(words)
    choices = tuple((str(mode), f"{mode}: {said}") for mode, said in _MODE_HELP.items())
    return (Choose("Who decides?", choices, here.state.mode, choose),)


def _autopilot_cost(here: Here) -> str:
    envelope = here.state.envelope
    most = money(envelope.usd) if envelope.usd else "only what is free"
    hours = f", {envelope.gpu_hours:g} GPU hours" if envelope.gpu_hours else ""
    edits = "constants and patches" if envelope.patches else "constants only"
    return f"Autopilot runs unasked within the envelope: {most}{hours}, waves of {envelope.wave_size} at most, {edits}."


def _envelope(here: Here, words: str) -> Effects:
    """`usd=40 gpu_hours=8 wave_size=12 patches=yes filler=no`: what is named changes."""
    changes: dict[str, object] = {}
    for part in words.split():
        name, _, given = part.partition("=")
        if name in ("usd", "gpu_hours"):
            number = _number(given)
            if number is None:
                raise Problem(f"{name} takes a number, not {given!r}")
            changes[name] = number
        elif name == "wave_size" and given.isdigit():
            changes[name] = int(given)
        elif name in ("patches", "filler") and given in ("yes", "no"):
            changes[name] = given == "yes"
        else:
            raise Problem("envelope takes usd=, gpu_hours=, wave_size=, patches=yes|no, filler=yes|no")
    if not changes:
        return (Note(_autopilot_cost(here)),)
    return (Send(SetEnvelope(msgspec.structs.replace(here.state.envelope, **changes)), f"envelope {words}"),)


def _budget(here: Here, words: str) -> Effects:
    usd = _number(words.lstrip("$"))
    if usd is None or usd < 0:
        raise Problem("budget takes dollars, 0 for no cap: `:budget 300`")
    return (Send(SetBudget(usd), f"budget {money(usd)}"),)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _ablate(here: Here, words: str) -> Effects:
    from cockpit.decide.ablation import ablations

    made = ablations(here.state)
    if made is None:
        raise Problem("nothing was kept that is still to be dropped")
    return (Send(Propose(made), f"propose to drop {count(len(made.arms), 'kept change')} again"),)


def _ablatable(here: Here) -> str:
    return "" if unablated(here.state) else "nothing was kept that is still to be dropped"


def _early_stopping(here: Here, words: str) -> Effects:
    if words in ("on", "off"):
        return (Send(SetEarlyStopping(words == "on"), f"early stopping {words}"),)
    return (Note(early_stopping_summary(here.state.early_stops) or "early takes on or off: `:early off`"),)


def _proposer(here: Here, words: str) -> Effects:
    if words:
        return (Send(SetProposer(words), f"proposer {words}"),)
    raise Problem("proposer takes a name: `:proposer tpe`")


def _say(here: Here, words: str) -> Effects:
    if words:
        return (Send(Say(words), ""),)
    return (FocusSay(),)


def _interrupt(here: Here, words: str) -> Effects:
    return (Send(Interrupt(), "end the proposer's turn"),)


def _asking(here: Here) -> str:
    return "" if here.state.asks else "no proposer is at work"


# Runs and experiments


def _running_applies(here: Here) -> str:
    return "" if subjects.attempt(here) else "nothing runs here"


def _kill(here: Here, words: str) -> Effects:
    attempt = words or subjects.attempt(here)
    return (Send(Kill(attempt, "killed by hand"), f"kill {attempt}"),)


def _kill_cost(here: Here, words: str) -> str:
    if words:
        return f"{words}: sure?"
    attempt = here.state.attempts[subjects.attempt(here)]
    cluster = here.state.clusters[attempt.cluster]
    if attempt.status is not AttemptStatus.RUNNING:
        return f"Kill {attempt.id} on {plain(cluster.name)}: it has not started, nothing is lost."
    ran_s = max(0.0, here.now - attempt.started_at)
    usd = ran_s / 3600 * cluster.usd_per_hour
    lost = duration(ran_s) + " of training" + f", {money(usd)}," * (usd > 0)
    return f"Kill {attempt.id} on {plain(cluster.name)}: {lost} will be lost."


def _measured(here: Here) -> str:
    known = here.state.experiments.get(here.experiment)
    return "" if known is not None and known.scores else "it has no result yet"


def _rerun(here: Here, words: str) -> Effects:
    name = words or here.experiment
    return (Send(Rerun(name), f"run {name} again with another seed"),)


def _promote(here: Here, words: str) -> Effects:
    name = words or here.experiment
    return (Send(Promote(name), f"validate {name} on the better class"),)


def _promotable(here: Here) -> str:
    if not here.state.session.fleet.validate_hardware:
        return "there is one class of hardware only"
    return _measured(here)


def _make_base(here: Here, words: str) -> Effects:
    name = words or here.experiment
    return (Send(MakeBase(name), f"make {name} the base"),)


def _base_cost(here: Here, words: str) -> str:
    if words:
        return f"{words}: sure?"
    name = here.experiment
    value, hardware = raw_score(here.state, name)
    return (
        f"Make {name} the base on your word ({value:.4f} on {plain(hardware)}): new waves build on it,"
        f" and {here.state.incumbent or here.state.baseline} is the incumbent no more."
    )


def _discard(here: Here, words: str) -> Effects:
    name = words or here.experiment
    return (Send(Discard(name), f"discard {name}"),)


def _droppable(here: Here) -> str:
    known = here.state.experiments.get(here.experiment)
    waits = (ExperimentStatus.PROPOSED, ExperimentStatus.QUEUED, ExperimentStatus.RUNNING)
    return "" if known is not None and known.status in waits else "nothing of it is left to drop"


def _drop_arm(here: Here, words: str) -> Effects:
    name = words or here.experiment
    if here.place == "review" and here.wave in here.state.proposals:
        return pages.drop_arm(here)
    return (Send(DropArm(name), f"drop {name}"),)


def _drop_cost(here: Here, words: str) -> str:
    if words:
        return f"{words}: sure?"
    return f"Drop {here.experiment}: it will not be measured. What runs of it is let go."


def _relaunchable(here: Here) -> str:
    cluster = here.state.clusters.get(here.cluster)
    gone = (ClusterState.GIVEN_UP, ClusterState.LOST, ClusterState.DOWN)
    return "" if cluster is not None and cluster.state in gone else "the cluster is up"


def _relaunch(here: Here, words: str) -> Effects:
    name = words or here.cluster
    return (Send(Relaunch(name), f"launch {name} again"),)


def _end(here: Here, words: str) -> Effects:
    running_now = len(here.state.in_flight)
    choices = (
        ("", "Cancel: go on"),
        ("drain", f"drain: let the {count(running_now, 'run')} in flight finish, clusters stay up"),
        ("drain+down", "drain, then take the clusters down"),
        ("cancel", f"end the {count(running_now, 'run')} in flight now; what they cost is lost"),
        ("cancel+down", "end them now and take the clusters down"),
    )

    def end(how: str) -> Effects:
        kind, _, down = how.partition("+")
        return (Send(End(EndMode(kind), bool(down)), f"end the session: {how}"),)

    return (Choose("End the session? Queued work stays in the ledger.", choices, "", end),)


STEERING: tuple[Action, ...] = (
    Action("approve", "approve", "Approve the proposal: its arms are queued", run=_approve, keys=("a",),
           acting=True, takes="WAVE", applies=no_proposal, footer=1, group="proposals"),
    Action("trust", "trust", "Approve it, and let the envelope approve this proposer's later waves",
           run=_approve_trust, keys=("A",), acting=True, takes="WAVE", applies=no_proposal, footer=2,
           group="proposals"),
    Action("reject", "reject", "Reject the proposal, with a reason the proposer reads", run=_reject, keys=("r",),
           acting=True, takes="WAVE REASON", applies=no_proposal, footer=2, group="proposals"),
    Action("hold-this", "hold", "Hold or resume the selected wave or cluster: what runs goes on, nothing new starts",
           run=_hold_selected, keys=("space",), places=frozenset({"waves", "clusters", "review"}), acting=True,
           applies=lambda here: "" if subjects.holdable(here) else "nothing to hold is selected", footer=6,
           group="waves"),
    Action("hold-all", "hold all", "Hold or resume the whole session", run=_hold_session, keys=("H",), acting=True,
           footer=14),
    Action("hold", "hold", "Hold a wave, a cluster, or everything", run=_hold, acting=True, takes="[WAVE|CLUSTER]"),
    Action("resume", "resume", "Resume a wave, a cluster, or everything", run=_resume, acting=True,
           takes="[WAVE|CLUSTER]"),
    Action("mode", "mode", "Who decides: manual, copilot or autopilot", run=_mode, keys=("m",), acting=True,
           takes="[MODE]", footer=13),
    Action("cancel-wave", "cancel wave", "Cancel the selected wave", run=_cancel_wave, keys=("x",),
           places=frozenset({"waves"}), acting=True, takes="WAVE", applies=_wave_applies, cost=_cancel_cost, footer=8,
           group="waves"),
    Action("wave-up", "sooner", "Run the selected wave sooner", run=_move_wave(-1), keys=("K", "shift+up"),
           places=frozenset({"waves"}), acting=True, applies=_movable, footer=9, group="waves"),
    Action("wave-down", "later", "Run the selected wave later", run=_move_wave(1), keys=("J", "shift+down"),
           places=frozenset({"waves"}), acting=True, applies=_movable, footer=10, group="waves"),
    Action("kill", "kill", "End the running attempt", run=_kill, keys=("x",), places=EXPERIMENT_PLACES, acting=True,
           takes="ATTEMPT", applies=_running_applies, cost=_kill_cost, footer=8, group="experiments"),
    Action("rerun", "rerun", "Measure the experiment again with another seed", run=_rerun, keys=("R",),
           places=EXPERIMENT_PLACES, acting=True, takes="EXPERIMENT", applies=no_experiment, footer=9,
           group="experiments"),
    Action("promote", "promote", "Run it on the better class", run=_promote, keys=("P",), places=EXPERIMENT_PLACES,
           acting=True, takes="EXPERIMENT", applies=_promotable, footer=10, group="experiments"),
    Action("base", "make base", "Make it the incumbent, on your word", run=_make_base, keys=("B",),
           places=EXPERIMENT_PLACES, acting=True, takes="EXPERIMENT", applies=_measured, cost=_base_cost, footer=11,
           group="experiments"),
    Action("discard", "discard", "Discard it, on your word", run=_discard, acting=True, takes="EXPERIMENT",
           applies=_measured, group="experiments"),
    Action("drop", "drop arm", "Drop the arm: it will not be measured", run=_drop_arm, keys=("D",),
           places=EXPERIMENT_PLACES | {"review"}, acting=True, takes="EXPERIMENT", applies=_droppable, cost=_drop_cost,
           footer=12, group="experiments"),
    Action("relaunch", "relaunch", "Try a cluster again that was given up", run=_relaunch, keys=("u",),
           places=frozenset({"clusters"}), acting=True, takes="CLUSTER", applies=_relaunchable, footer=7,
           group="clusters"),
    Action("say", "say", "Say something to the proposer", run=_say, keys=("i",), acting=True, takes="WORDS",
           footer=12),
    Action("interrupt", "interrupt", "End the proposer's turn", run=_interrupt, keys=("escape",),
           places=frozenset({"talk"}), acting=True, applies=_asking, footer=4),
    Action("budget", "budget", "Set the session's cap in dollars, GPU and API together", run=_budget, acting=True,
           takes="USD"),
    Action("envelope", "envelope", "What autopilot may do unasked", run=_envelope, acting=True, takes="usd=40 …"),
    Action("ablate", "ablate", "Propose to drop each kept change once, to see whether it still helps", run=_ablate,
           acting=True, applies=_ablatable),
    Action("early", "early stopping", "End runs that cannot reach the incumbent any more, or let all run",
           run=_early_stopping, acting=True, takes="on|off"),
    Action("proposer", "proposer", "Who proposes from now on", run=_proposer, acting=True, takes="NAME"),
    Action("end", "end session", "End the session: drain or cancel, clusters down or not", run=_end, keys=("E",),
           acting=True),
)  # fmt: skip
