"""The verdict on a session: the gain of the best variant, and its cost, in two sentences."""

from cockpit.core.metric import figure
from cockpit.core.model import IMPORTED
from cockpit.core.running_time import running_s
from cockpit.core.state import State
from cockpit.decide.budget import accounts
from cockpit.read.effects import gain_of, is_clear
from cockpit.read.scores import comparison_class, kept_experiments, score_of
from cockpit.read.wording import count, duration, money


def tried_variants(state: State) -> int:
    """Return the number of variants with a score; the baseline is left out."""
    return sum(bool(one.scores) for one in state.experiments.values() if one.id != state.baseline)


def verdict(state: State, now: float) -> str:
    """Return the two sentences at `now`."""
    tried = tried_variants(state)
    kept = kept_experiments(state)
    usd = accounts(state, now).total_usd
    spent = f"for {money(usd)} " if usd or any(one.usd_per_hour for one in state.clusters.values()) else ""
    took = duration(running_s(state, now))
    changes = f"{count(len(kept), 'change')} {'was' if len(kept) == 1 else 'were'} kept"
    return f"{_gain(state)} {changes} of {count(tried, 'measured variant')}, {spent}in {took}."


def _imported_gain(state: State) -> str:
    """Return the gain that the table claims. The best of many single runs also looks better by luck."""
    hardware = comparison_class(state)
    best, first = score_of(state, state.incumbent, hardware), score_of(state, state.baseline, hardware)
    metric = state.session.metric
    start = f"Imported, unchecked: by the table's word, {state.incumbent} is the best variant"
    if best is None or first is None:
        return f"{start}."
    lead = f"{figure(first.mean - best.mean)} better in {metric.name} than the first trial"
    runs = "a mean of its runs" if best.runs > 1 else "by one run, the best of many"
    return f"{start}, {lead}, {runs}."


def _gain(state: State) -> str:
    script = state.session.script
    if not state.incumbent:
        return f"The unchanged {script} has no result yet."
    if state.incumbent == state.baseline:
        return f"The unchanged {script} is still the best."
    if state.session.fleet.kind == IMPORTED:
        return _imported_gain(state)
    found = gain_of(state)
    if found is None:
        return f"{state.incumbent} is the best variant; its gain over the unchanged {script} could not be estimated."
    gain = found.pooled
    interval = f"{gain.level:.0%} interval {figure(-gain.high)} to {figure(-gain.low)}"
    if is_clear(gain) and gain.mean < 0:
        metric, by = state.session.metric.name, figure(-gain.mean)
        words = f"{state.incumbent} improves {metric} over the unchanged {script} by {by} ({interval})."
    else:
        words = (
            f"{state.incumbent} was kept, but its gain over the unchanged {script} is within the noise ({interval})."
        )
    return words.replace("-0.", "\N{MINUS SIGN}0.")
