"""The content of the header, with the needs of the session."""

from cockpit.core.model import Mode
from cockpit.core.running_time import running_s
from cockpit.core.state import State, ending_text
from cockpit.core.totals import EarlyStops
from cockpit.decide.budget import accounts
from cockpit.read.costs import device_word
from cockpit.read.model_cost import model_cost
from cockpit.read.needs import Need, NeedKind, brief, is_budget_near, needs, worker_needs
from cockpit.read.scores import best_score
from cockpit.session.heartbeat import WorkerStatus
from cockpit.tui.figures import difference_words, duration, money, score_words, span_words
from cockpit.tui.plain import cut, plain, width_of


def header_needs(state: State, worker: WorkerStatus, now: float) -> list[Need]:
    """Return the needs of a header, the gravest first; a session that is held says so in its mode."""
    found = brief([*worker_needs(state, worker), *needs(state, now)])
    return [need for need in found if need.kind is not NeedKind.HELD]


def fitting(found: list[Need], cells: int) -> str:
    """Return the needs in at most `cells` cells: those that fit whole, at least one, and the number of the others."""
    for keep in range(len(found), 0, -1):
        more = f"  +{len(found) - keep}" if keep < len(found) else ""
        words = "  ".join(plain(need.short) for need in found[:keep]) + more
        if width_of(words) <= cells:
            return words
    return cut(plain(found[0].short), cells) if found else ""


def fleet_words(state: State) -> str:
    session = state.session
    counts: dict[str, int] = {}
    for cluster in state.clusters.values():
        counts[cluster.hardware] = counts.get(cluster.hardware, 0) + 1
    hardware = ", ".join(f"{number} {plain(name)}" if name else str(number) for name, number in counts.items())
    return f"{plain(session.fleet.kind)} {hardware}"


def corpus_words(state: State) -> str:
    """Return the names of the corpus and its preset. The corpus's digest is in `cockpit status` and the report."""
    named = (("corpus", plain(state.corpus).partition(" ")[0]), ("preset", plain(state.preset)))
    return ", ".join(f"{what} {name}" for what, name in named if name)


def best_parts(state: State) -> list[tuple[str, str]]:
    """Return [(text, role)]: the best, its gain, the experiment it is a gain over, its interval, and the baseline."""
    found = best_score(state)
    if found is None:
        return [("best", "dim"), ("none yet", "dim")]
    metric = state.session.metric
    parts = [("best", "dim"), (plain(found.experiment), "key"), (score_words(metric, found.score.mean), "good")]
    if found.score.hardware:
        parts.append((plain(found.score.hardware), "dim"))
    estimate = found.estimate
    if estimate is not None and found.experiment != state.baseline:
        parts.append((difference_words(metric, estimate.mean), "good" if estimate.mean < 0 else "bad"))
        parts.append((f"vs {plain(estimate.against)}", "dim"))
        parts.append((span_words(metric, estimate), "dim"))
    if found.experiment != state.baseline and found.baseline is not None:
        parts.append((f"baseline {score_words(metric, found.baseline.mean)}", "dim"))
    return parts


def money_parts(state: State, now: float) -> list[tuple[str, str]]:
    sums = accounts(state, now)
    parts = []
    if sums.training_s or sums.idle_s:
        parts.append((f"busy {sums.duty:.0%}", "text" if sums.duty >= 0.9 or not sums.training_s else "warn"))
    cap = f" of {money(state.budget_usd)}" if state.budget_usd > 0 else ""
    if sums.total_usd or cap or any(one.usd_per_hour for one in state.clusters.values()):
        parts.append((f"{money(sums.total_usd)}{cap}", "warn" if is_budget_near(state, now) else "text"))
    cost = model_cost(state, now)
    if cost or sums.api_usd:
        estimated = f" of ~{roughly(cost.estimate.usd)}" if cost else ""
        parts.append((f"API {money(sums.api_usd)}{estimated}", "dim"))
    if used := device_time(sums.gpu_hours, device_word(state)):
        parts.append((used, "dim"))
    ran = duration(running_s(state, now))
    parts.append((ran + _of_hours(state.session.budget_hours), "dim"))
    if state.early_stops.ended or state.early_stops.checked:
        parts.append(early_part(state.early_stops))
    if cost and cost.to_come_usd is not None:
        parts.append((f"API ~{roughly(cost.to_come_usd)} to come", "dim"))
    return parts


def _of_hours(hours: float) -> str:
    """Return ` of 8h`, the length of the session; ` of 1m48s` for one of minutes, and nothing without a limit."""
    if not hours:
        return ""
    return f" of {hours:g}h" if hours >= 1 else f" of {duration(hours * 3600)}"


def device_time(hours: float, device: str) -> str:
    """Return `2.4 GPU h`, in the first hour `12 GPU min`, and nothing in the first minute."""
    if hours >= 1:
        return f"{hours:.1f} {device} h"
    return f"{int(60 * hours)} {device} min" if 60 * hours >= 1 else ""


def roughly(usd: float) -> str:
    """Return estimated dollars, without cents from $10 on."""
    return f"${usd:,.0f}" if usd >= 10 else money(usd)


def early_part(stops: EarlyStops) -> tuple[str, str]:
    wrong = f", {stops.mistaken} of {stops.checked} checks wrong" if stops.checked else ""
    return f"{stops.ended} ended early{wrong}", "warn" if stops.mistaken else "dim"


def mode_words(state: State) -> tuple[str, str]:
    """Return the mode as shown, and its role: autopilot stands out, since it asks no person."""
    if state.ending:
        why = plain(state.end_reason)
        if not state.worker_running:
            return f"ended: {why or ending_text(state)}", "warn"
        return f"ending: {ending_text(state)}{f', {why}' if why else ''}", "warn"
    if state.held:
        return f"{state.mode} · held", "warn"
    return str(state.mode), "warn" if state.mode is Mode.AUTOPILOT else "accent"
