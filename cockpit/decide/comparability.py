"""Check that a run is comparable with the baseline: equal length, tokens, data and unit. Other runs give no result.

The baseline's runs set the limits. If they train for the time budget, a run may not take longer by the clock outside
it. If they see the same number of tokens each time, a run may not see more.
"""

from collections.abc import Collection, Iterator, Mapping

import msgspec

from cockpit.core.model import Attempt, Metrics, Outcome
from cockpit.core.state import State
from cockpit.core.units import factor, in_words, unit_in_name

RUNS_READ = 32
"""Newest runs of the baseline that are read."""
BUDGETED_SHARE = 0.8
"""Share of the time budget that a baseline trains for at least, where the budget is what ends it."""
BUDGET_SHARE, OVERHEAD_SHARE, SLACK_SHARE, SLACK_S = 1.1, 1.5, 0.4, 10.0
"""Seconds that a run may take: shares of the budget and of the baseline's time outside training, and a slack. That is
a share of a small budget: ten seconds beside a budget of two would hide a run of five times its length. It is at least
the time outside training again, which on a busy machine varies as much."""
CPU_SHARE, COMPUTES_SHARE = 1.1, 0.5
"""The share of the baseline's processor time that a run on cores may use however long it runs, and the cores that a
run keeps busy on average if it computes."""
TENTHS_BELOW_S = 20.0
"""Seconds below which a length is told in tenths."""
TOKENS_SHARE = 1.02
"""Share of the baseline's tokens that a run may see, where all of its runs see the same number."""
TOKEN_RUNS = 2
"""Runs of the baseline that show that the tokens are fixed."""


def broken_rule(state: State, attempt: Attempt, metrics: Metrics) -> str:
    """Return the rule that a valid run of an experiment breaks, in a sentence; empty for none."""
    if attempt.experiment == state.baseline or not state.baseline:
        return ""
    baseline = _runs(state, attempt.hardware)
    if not baseline:
        return ""
    if attempt.hardware == "CPU" and _worked_no_more(baseline, metrics):
        return _too_many_tokens(baseline, metrics)
    return _too_long(state.session.time_budget_s, baseline, metrics) or _too_many_tokens(baseline, metrics)


def in_session_unit(state: State, metrics: Metrics) -> Metrics | str:
    """Return a run's metrics with each value in the session's unit; a sentence where its first has no factor to that.

    A program that prints `980 ms` and then `1.02 s` has not gained. A second metric without a factor is left out, and
    its unit stays for the sentence on its limit.
    """
    metric, runs = state.session.metric, list(_all_runs(state))
    wanted = metric.unit(metric.name) or next((run.unit for run in runs), metrics.unit)
    by = factor(metrics.unit or unit_in_name(metric.name), wanted)
    if by is None:
        printed, usual = in_words(metrics.unit), in_words(wanted)
        return f"it printed {metric.name} {printed}, and the session has it {usual}: its result does not count"
    others, units = dict(metrics.others), dict(metrics.other_units)
    for name, value in metrics.others.items():
        own = units.get(name, "") or unit_in_name(name)
        usual = metric.unit(name) or next((run.other_units.get(name, "") for run in runs if name in run.others), own)
        if (other_by := factor(own, usual)) is None:
            del others[name]
        elif usual:
            others[name], units[name] = value * other_by, usual
    return msgspec.structs.replace(metrics, score=metrics.score * by, unit=wanted, others=others, other_units=units)


def other_data(state: State, attempt: Attempt, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the sentence on a run whose data are not those of the session's scores; empty for the same data.

    `before` and `after` are the fingerprints of its data. A run of the baseline may add to its data, such as a cache of
    tokens: the scores rest on the data that the first one has left.
    """
    for name, wanted in state.data.items():
        found = after.get(name, wanted)
        if found == wanted and attempt.experiment != state.baseline:
            found = before.get(name, wanted)
        if found != wanted:
            return f"its data differ from the baseline's: {name} is {found}, and was {wanted}"
    return ""


def restored_data(state: State, attempt: Attempt, restored: Collection[str]) -> str:
    """Return the sentence on a run during which data were written and restored; empty if the baseline does so."""
    found = [name for name in restored if name not in state.data_restored]
    if not found or attempt.experiment == state.baseline or not state.baseline:
        return ""
    return f"{', '.join(found)} was written to while it ran, and restored: its result does not count"


def _all_runs(state: State) -> Iterator[Metrics]:
    """Yield the summaries of the baseline's valid runs, the first one first."""
    if state.baseline:
        runs = (state.attempts[name] for name in state.experiments[state.baseline].attempts)
        yield from (run.metrics for run in runs if run.metrics and run.outcome is Outcome.VALID)


def _runs(state: State, hardware: str) -> list[Metrics]:
    runs = (state.attempts[name] for name in state.experiments[state.baseline].attempts[-RUNS_READ:])
    return [run.metrics for run in runs if run.metrics and run.outcome is Outcome.VALID and run.hardware == hardware]


def _too_long(budget_s: float, baseline: list[Metrics], metrics: Metrics) -> str:
    # Runs that print no training time count as training all along, the budget at most.
    trained = [run.training_seconds or min(run.run_s, budget_s) for run in baseline]
    is_budgeted = all(run.run_s for run in baseline) and min(trained) >= BUDGETED_SHARE * budget_s
    if not budget_s or not metrics.run_s or not is_budgeted:
        return ""
    overhead_s = max(max(0.0, run.run_s - seconds) for run, seconds in zip(baseline, trained, strict=True))
    slack_s = min(SLACK_S, max(SLACK_SHARE * budget_s, overhead_s))
    allowed_s = BUDGET_SHARE * budget_s + OVERHEAD_SHARE * overhead_s + slack_s
    if metrics.run_s <= allowed_s:
        return ""
    return (
        f"it ran for {_in_words(metrics.run_s)} by the clock outside it, and {_in_words(allowed_s)} are allowed for a"
        f" budget of {budget_s:g} s: its result does not count"
    )


def _worked_no_more(baseline: list[Metrics], metrics: Metrics) -> bool:
    """Return True if a run took no more of the processor than the baseline, however long other programs held it up.

    Runs that sleep are judged by the clock alone: their processor time says nothing.
    """
    worked_s = max(run.cpu_s for run in baseline)
    computes = all(run.cpu_s >= COMPUTES_SHARE * run.run_s > 0 for run in baseline)
    return computes and 0 < metrics.cpu_s <= CPU_SHARE * worked_s


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= TENTHS_BELOW_S else f"{seconds:.1f} s"


def _too_many_tokens(baseline: list[Metrics], metrics: Metrics) -> str:
    """Return the breach of a fixed number of tokens. Where the budget is time, repeats see different numbers."""
    seen = {run.total_tokens_M for run in baseline}
    tokens = next(iter(seen))
    is_fixed = len(baseline) >= TOKEN_RUNS and len(seen) == 1 and tokens > 0
    if not is_fixed or any(run.training_seconds for run in baseline) or metrics.total_tokens_M <= TOKENS_SHARE * tokens:
        return ""
    seen_by_it = f"it saw {metrics.total_tokens_M:g}M tokens"
    return f"{seen_by_it}, and every run of the baseline {tokens:g}M: its result does not count"
