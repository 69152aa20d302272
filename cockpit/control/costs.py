"""Word the confirmation of each verb that spends or destroys: one sentence, with the dollars if any.

An empty sentence needs no confirmation: the verb is free here, or does not apply.
"""

from collections.abc import Sequence

from cockpit.control.arguments import Given, text_of
from cockpit.core.model import AttemptStatus, ClusterState, EndMode, Envelope, Mode
from cockpit.core.state import State, open_permissions
from cockpit.decide.schedule import expected_run_s
from cockpit.read.costs import run_cost_usd, run_usd, wave_cost
from cockpit.read.scores import score_of
from cockpit.read.wording import about_usd, count, duration, money

NAMES_AT_MOST = 4


def approve(state: State, given: Given, now: float) -> str:
    """Name the wave's runs, dollars and time."""
    wave = state.waves.get(text_of(given, "wave"))
    if wave is None:
        return ""
    cost = wave_cost(state, wave)
    trust = f", and trust {wave.proposer} within the envelope" if given.get("trust") else ""
    runs = f"{count(cost.runs, 'run')}, {about_usd(cost.usd)}, within {duration(cost.ends_in_s)}"
    return f"Approve {wave.id}{trust}: {runs}."


def rerun(state: State, given: Given, now: float) -> str:
    """Name the run's dollars and time."""
    return _one_run(state, f"Run {text_of(given, 'experiment')} again", text_of(given, "hardware"))


def promote(state: State, given: Given, now: float) -> str:
    """Name the run's dollars and time on the better class."""
    better = state.session.fleet.validate_hardware
    where = f" on {better}" if better else ""
    return _one_run(state, f"Run {text_of(given, 'experiment')}{where}", better)


def _one_run(state: State, begin: str, hardware: str) -> str:
    return f"{begin}: 1 run, {about_usd(run_cost_usd(state, hardware))}, {duration(expected_run_s(state))}."


def permit(state: State, given: Given, now: float) -> str:
    """Name the agent and its request; a refusal needs no confirmation."""
    waiting = open_permissions(state)
    name = text_of(given, "request") or next(iter(waiting), "")
    if name not in waiting or text_of(given, "answer") != "allow":
        return ""
    return f"Allow {waiting[name].agent} once to {waiting[name].what}"


def cancel(state: State, given: Given, now: float) -> str:
    """Name the runs that will not start."""
    wave = state.waves.get(text_of(given, "wave"))
    if wave is None:
        return ""
    in_flight = sum(state.attempts[name].experiment in wave.arms for name in state.in_flight)
    to_come = max(0, wave_cost(state, wave).runs - in_flight)
    may_end = f", {in_flight} in flight may end first" if in_flight else ""
    return f"Cancel {wave.id}: {count(to_come, 'run')} will not start{may_end}. Its results stay."


def kill(state: State, given: Given, now: float) -> str:
    """Name the training time and the dollars that are lost."""
    attempt = state.attempts.get(text_of(given, "attempt"))
    if attempt is None:
        return ""
    where = f"Kill {attempt.id} on {attempt.cluster}"
    if attempt.status is not AttemptStatus.RUNNING:
        return f"{where}: it has not started, nothing is lost."
    usd = run_usd(state, attempt, now)
    dollars = f", {money(usd)}," if usd > 0 else ""
    return f"{where}: {duration(now - attempt.started_at)} of training{dollars} will be lost."


def drop(state: State, given: Given, now: float) -> str:
    """Name the measurement that is given up."""
    return f"Drop {text_of(given, 'experiment')}: it will not be measured. Its runs in flight end without a result."


def base(state: State, given: Given, now: float) -> str:
    """Name the score of the new base and the base it replaces."""
    name = text_of(given, "experiment")
    score = score_of(state, name)
    if score is None:
        return ""
    before = state.incumbent or state.baseline
    value = state.session.metric.text(score.mean)
    return f"Make {name} the base ({value} on {score.hardware}): new waves build on it instead of {before}."


def mode(state: State, given: Given, now: float) -> str:
    """Name the limits within which autopilot spends."""
    if text_of(given, "mode") != Mode.AUTOPILOT or state.mode is Mode.AUTOPILOT:
        return ""
    return f"Autopilot spends unasked within the envelope: {envelope_words(state.envelope, now)}."


def relaunch(state: State, given: Given, now: float) -> str:
    """Name the cluster's price."""
    cluster = state.clusters.get(text_of(given, "cluster"))
    if cluster is None or not cluster.usd_per_hour:
        return ""
    return f"Launch {cluster.name} again: {money(cluster.usd_per_hour)} an hour from then on."


def end(state: State, given: Given, now: float) -> str:
    """Name the runs that finish or are lost, and the clusters that are taken down."""
    ending = end_words(state, EndMode(text_of(given, "how") or EndMode.DRAIN), bool(given.get("down")), now)
    return f"End the session: {ending}. Queued work stays in the ledger."


def end_words(state: State, how: EndMode, down: bool, now: float) -> str:
    """Return what becomes of the runs in flight and of the clusters."""
    runs = count(len(state.in_flight), "run")
    if how is EndMode.DRAIN:
        what = f"{runs} finish"
    else:
        usd = sum(run_usd(state, state.attempts[name], now) for name in state.in_flight)
        what = f"{runs} end now, {money(usd) if usd else 'their time'} lost"
    return f"{what}; {f'{cluster_names(clusters_up(state))} down' if down else 'clusters stay up'}"


def clusters_up(state: State) -> list[str]:
    """Return the clusters that are up, or whose tear-down is unverified."""
    over = (ClusterState.DOWN, ClusterState.GIVEN_UP)
    return [cluster.name for cluster in state.clusters.values() if cluster.state not in over or cluster.unverified]


def cluster_names(names: Sequence[str]) -> str:
    """Return the names of a few clusters, or the number of many."""
    return f"{len(names)} clusters" if len(names) > NAMES_AT_MOST else ", ".join(names) or "no cluster"


def envelope_words(envelope: Envelope, now: float) -> str:
    """Return the limits of autopilot in a line."""
    dollars = money(envelope.usd) if envelope.usd else "only what is free"
    hours = f", {envelope.gpu_hours:g} GPU-hours" if envelope.gpu_hours else ""
    edits = "constants and patches" if envelope.patches else "constants only"
    filler = "with filler" if envelope.filler else "without filler"
    left_h = (envelope.until - now) / 3600
    until = (f", for {left_h:.1f} hours more" if left_h > 0 else ", ended") if envelope.until else ""
    worth = f", a gain of 0.001 is worth {money(envelope.worth_usd)}" if envelope.worth_usd else ""
    return f"{dollars}{hours}, waves of at most {envelope.wave_size} arms, {edits}, {filler}{until}{worth}"
