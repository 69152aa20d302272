"""What the header says, and what needs a person."""

import math
from dataclasses import dataclass

from cockpit.core.model import ClusterState, EarlyStops, Estimate, Mode
from cockpit.core.state import State, ending_text
from cockpit.decide.budget import accounts
from cockpit.session.heartbeat import WorkerStatus
from cockpit.tui.figures import age, count, duration, money, score, signed
from cockpit.tui.plain import cut, plain, width_of

BUDGET_NEAR = 0.9


@dataclass(frozen=True)
class Need:
    """Something that waits for a person."""

    key: str
    text: str


def needs(state: State, worker: WorkerStatus, now: float) -> list[Need]:
    """What waits for a person, what stops the whole session first."""
    found: list[Need] = []
    if worker.note:
        found.append(Need("worker note", "worker in trouble"))
    if worker.state == "stale":
        found.append(Need("worker stale", f"worker silent for {age(worker.heartbeat_age_s or 0.0)}"))
    elif worker.state == "stopped" and not state.ending:
        found.append(Need("worker stopped", "worker stopped"))
    spent = accounts(state, now).total_usd / state.budget_usd if state.budget_usd > 0 else 0.0
    if state.capped:
        found.append(Need("budget reached", "budget reached: raise it to go on"))
    elif spent >= BUDGET_NEAR:
        found.append(Need("budget", f"budget {math.floor(100 * spent)}% spent"))
    for wanted, word in ((ClusterState.GIVEN_UP, "given up"), (ClusterState.LOST, "lost")):
        names = [plain(cluster.name) for cluster in state.clusters.values() if cluster.state is wanted]
        if names:
            said = names[0] if len(names) == 1 else count(len(names), "cluster")
            found.append(Need(f"{word} {' '.join(names)}", f"{said} {word}"))
    if state.flagged:
        names = [plain(name) for name in state.flagged]
        said = names[0] if len(names) == 1 else count(len(names), "cluster")
        found.append(Need(f"suspect {' '.join(names)}", f"{said} suspect"))
    if len(state.proposals) == 1:
        name = next(iter(state.proposals))
        found.append(Need(f"wave {name}", f"{name} is proposed"))
    elif state.proposals:
        found.append(Need(f"waves {' '.join(state.proposals)}", f"{len(state.proposals)} proposals wait"))
    return found


def fitting(found: list[Need], cells: int) -> str:
    """The needs in at most `cells` cells: as many as go in whole, how many more there are, and never none."""
    for keep in range(len(found), 0, -1):
        more = f"  +{len(found) - keep}" if keep < len(found) else ""
        words = "  ".join(need.text for need in found[:keep]) + more
        if width_of(words) <= cells:
            return words
    return cut(found[0].text, cells) if found else ""


def fleet_words(state: State) -> str:
    session = state.session
    counts: dict[str, int] = {}
    for cluster in state.clusters.values():
        counts[cluster.hardware] = counts.get(cluster.hardware, 0) + 1
    hardware = ", ".join(f"{number} {plain(name)}" if name else str(number) for name, number in counts.items())
    return f"{plain(session.fleet.kind)} {hardware}"


def mean(scores: list[float]) -> float:
    return sum(scores) / len(scores) if scores else math.nan


def raw_score(state: State, experiment: str) -> tuple[float, str]:
    """(mean val_bpb, hardware class) of an experiment, in the class that most is measured in where it was."""
    known = state.experiments.get(experiment)
    if known is None or not known.scores:
        return math.nan, ""
    wanted = state.session.fleet.screen_hardware
    hardware = wanted if wanted in known.scores else next(iter(known.scores))
    return mean(known.scores[hardware]), hardware


@dataclass(frozen=True)
class Best:
    experiment: str
    val_bpb: float
    hardware: str
    estimate: Estimate | None
    baseline: str
    baseline_bpb: float


def best(state: State) -> Best | None:
    """The incumbent with its estimate, and the baseline; None before anything was measured."""
    name = state.incumbent or state.baseline
    value, hardware = raw_score(state, name)
    if math.isnan(value):
        return None
    known = state.experiments[name]
    estimate = known.estimate
    if estimate is None and state.incumbencies and state.incumbencies[-1].experiment == name:
        estimate = state.incumbencies[-1].estimate
    return Best(name, value, hardware, estimate, state.baseline, raw_score(state, state.baseline)[0])


def best_parts(state: State) -> list[tuple[str, str]]:
    """[(text, role)]: the best, its gain with the interval, and the baseline."""
    found = best(state)
    if found is None:
        return [("best", "dim"), ("none yet", "dim")]
    parts = [("best", "dim"), (plain(found.experiment), "key"), (score(found.val_bpb), "good")]
    if found.hardware:
        parts.append((plain(found.hardware), "dim"))
    estimate = found.estimate
    if estimate is not None and found.experiment != found.baseline:
        parts.append((signed(estimate.mean), "good" if estimate.mean < 0 else "bad"))
        parts.append((f"[{signed(estimate.low)}, {signed(estimate.high)}] vs {plain(estimate.against)}", "dim"))
    if found.experiment != found.baseline and not math.isnan(found.baseline_bpb):
        parts.append((f"baseline {score(found.baseline_bpb)}", "dim"))
    return parts


def money_parts(state: State, now: float) -> list[tuple[str, str]]:
    sums = accounts(state, now)
    parts = [(f"duty {sums.duty:.0%}", "text" if sums.duty >= 0.9 or not sums.training_s else "warn")]
    cap = f" of {money(state.budget_usd)}" if state.budget_usd > 0 else ""
    near = state.budget_usd > 0 and sums.total_usd >= BUDGET_NEAR * state.budget_usd
    parts.append((f"{money(sums.total_usd)}{cap}", "warn" if near else "text"))
    if sums.api_usd:
        parts.append((f"API {money(sums.api_usd)}", "dim"))
    parts.append((f"{sums.gpu_hours:.1f} GPU h", "dim"))
    ran = f"{duration(now - state.session.created_at)}"
    hours = f" of {state.session.budget_hours:g}h" if state.session.budget_hours else ""
    parts.append((ran + hours, "dim"))
    if state.early_stops.ended or state.early_stops.checked:
        parts.append(early_part(state.early_stops))
    return parts


def early_part(stops: EarlyStops) -> tuple[str, str]:
    wrong = f", {stops.mistaken} of {stops.checked} checks wrong" if stops.checked else ""
    return f"{stops.ended} ended early{wrong}", "warn" if stops.mistaken else "dim"


def mode_words(state: State) -> tuple[str, str]:
    """The mode as shown, and its role: autopilot stands out, since nobody is asked."""
    if state.ending:
        why = f", {plain(state.end_reason)}" if state.end_reason else ""
        return f"{'ending' if state.worker_running else 'ended'}: {ending_text(state)}{why}", "warn"
    if state.held:
        return f"{state.mode} · held", "warn"
    return str(state.mode), "warn" if state.mode is Mode.AUTOPILOT else "accent"
