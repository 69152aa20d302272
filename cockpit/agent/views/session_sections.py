"""Sections of the briefing on the session: its limits, its clusters and its conversation. Each has a fixed bound."""

from math import inf

from cockpit.agent.views import layout
from cockpit.agent.views.quoting import clip, line, plain
from cockpit.core.metric import Metric
from cockpit.core.model import Cluster, ClusterState, Message, Mode
from cockpit.core.running_time import running_h, time_after_running_h
from cockpit.core.state import State
from cockpit.decide.budget import accounts, committed_usd, left_usd
from cockpit.decide.schedule import expected_run_s
from cockpit.read.costs import device_word

MAX_CLASSES = 8
MAX_MESSAGES = 30


def session(state: State, author: str, at: float) -> str:
    """Return the session's settings, counts and limits, and what `author`'s proposals may do unasked."""
    settings = state.session
    counts = ", ".join(f"{count} {status}" for status, count in sorted(state.status_counts.items()) if count)
    spent = accounts(state, at)
    dollars = f"${spent.gpu_usd:.2f} on clusters, ${spent.api_usd:.2f} on models"
    lines = [
        f"# Session {line(settings.name, 80)}, {hour(state, at)}",
        f"Metric: {line(settings.metric.name)}, {settings.metric.better}.",
        _limits(settings.metric),
        _runs(state),
        f"Phase: {line(state.phase or 'not named yet', 120)}. Mode: {state.mode}.",
        f"Experiments: {counts or 'none'}.",
        f"Baseline {state.baseline or 'not measured'}, incumbent {state.incumbent or 'none'}.",
        f"Spent: {spent.gpu_hours:.1f} {device_word(state)}-hours, {dollars}.",
        _money(state, at),
        _time(state, at),
        _approval(state, author, at),
    ]
    if state.held:
        lines.append("The person holds the session: nothing new starts.")
    return "\n".join(filter(None, lines))


def _runs(state: State) -> str:
    corpus, budget_s = line(state.corpus or "not named", 120), state.session.time_budget_s
    length = f"Runs of {budget_s:.0f} s" if budget_s else "Runs of a length that the code sets"
    return f"{length}; corpus {corpus}."


def _limits(metric: Metric) -> str:
    limits = [str(one) for one in (*metric.constraints, *metric.tie_breaks)]
    return f"Second metrics, whose limits a keep must not break: {line('; '.join(limits), 400)}." if limits else ""


def hour(state: State, at: float) -> str:
    """Return `hour 3.4` of the session."""
    return f"hour {max(0.0, running_h(state, at)):.1f}"


def _money(state: State, at: float) -> str:
    left = left_usd(state, at)
    if left == inf:
        return "Money: no cap."
    prices = [cluster.usd_per_hour for cluster in state.clusters.values()]
    run_usd = expected_run_s(state) / 3600 * sum(prices) / max(1, len(prices))
    pays = f"; that pays for about {max(0.0, left) / run_usd:.0f} runs" if run_usd else ""
    return f"Money left, for clusters and models together: ${max(0.0, left):.2f}{pays}."


def _time(state: State, at: float) -> str:
    settings, run_s = state.session, expected_run_s(state)
    if not settings.budget_hours:
        return ""
    left_s = max(0.0, time_after_running_h(state, settings.budget_hours) - at)
    room = f": room for about {left_s / run_s * len(state.clusters):.0f} runs" if run_s else ""
    return f"The session ends at hour {settings.budget_hours:g}{room}."


def _approval(state: State, author: str, at: float) -> str:
    """Return which proposals of `author` run without the person."""
    envelope = state.envelope
    trusted = author in envelope.proposers
    if state.mode is Mode.MANUAL:
        return "In manual mode you only answer; the person proposes."
    if state.mode is Mode.COPILOT and not trusted:
        return "In copilot mode every proposal of yours waits for the person."
    if envelope.proposers and not trusted:
        return "The envelope names other proposers: every proposal of yours waits for the person."
    if envelope.until and at > envelope.until:
        return "The envelope has ended: every proposal of yours waits for the person."
    limits = [
        f"up to ${envelope.usd:.2f} in all, of which ${committed_usd(state, at):.2f} is spent or reserved",
        f"{envelope.wave_size} arms a wave",
        "constants and code" if envelope.patches else "constants only, code waits for the person",
    ]
    if envelope.gpu_hours:
        limits.insert(1, f"up to {envelope.gpu_hours:g} {device_word(state)}-hours in all")
    if envelope.until:
        limits.append(f"until {hour(state, envelope.until)}")
    return f"Approved unasked: {', '.join(limits)}. A proposal outside these limits waits for the person."


def clusters(state: State) -> str:
    """Return the clusters by class, and the queue."""
    classes: dict[str, list[Cluster]] = {}
    for cluster in state.clusters.values():
        classes.setdefault(cluster.hardware or "unknown", []).append(cluster)
    rows = [_class_row(state, name, members) for name, members in sorted(classes.items())[:MAX_CLASSES]]
    table = layout.table("Clusters", ("class", "clusters", "up", "idle", "usd_per_hour", "suspect"), rows)
    minutes = sum(state.run_s) / len(state.run_s) / 60 if state.run_s else 0.0
    duration = f" A run takes {minutes:.1f} min." if minutes else ""
    return f"{table}\n{len(state.waiting)} runs wait, {len(state.in_flight)} are in flight.{duration}{_tiers(state)}"


def _class_row(state: State, name: str, members: list[Cluster]) -> tuple[object, ...]:
    states = [cluster.state for cluster in members]
    up = sum(each in (ClusterState.IDLE, ClusterState.BUSY) for each in states)
    price = max(cluster.usd_per_hour for cluster in members)
    suspect = sum(cluster.name in state.flagged for cluster in members)
    return line(name, 40), len(members), up, states.count(ClusterState.IDLE), f"{price:.2f}", suspect or ""


def _tiers(state: State) -> str:
    fleet = state.session.fleet
    if not fleet.screen_hardware:
        return ""
    validate = f", validate on {line(fleet.validate_hardware, 40)}" if fleet.validate_hardware else ""
    return f"\nTier screen runs on {line(fleet.screen_hardware, 40)}{validate}."


def conversation(state: State, author: str) -> str:
    """Return the newest messages, and who the person is."""
    said = [message for message in state.messages if message.kind == "say"][-MAX_MESSAGES:]
    lines = layout.newest((_message(state, message, author) for message in said), 9_000)
    people = sorted({state.session.created_by, state.worker_user} - {""})
    person = " or ".join(line(name, 40) for name in people) or "anyone who is not an agent"
    title = f"conversation, the newest last. The person is {person}; everyone else is an agent or cockpit"
    return layout.titled(title, lines)


def _message(state: State, message: Message, author: str) -> str:
    sender = "you" if message.author == author else line(message.author, 40)
    return f"{hour(state, message.at)}, {sender}: {clip(plain(message.text), 3_000)}"
