"""An estimate of the requests, tokens and dollars that the researcher needs in a session, before the session starts.

A turn reads the stable part of its prompt from the cache, writes the briefing to it, and reads both again with each
further request. tests/agent/test_estimate.py compares the estimate with a scripted night against the stand-in API.
The thinking is assumed: its length depends on the model and the effort, and no stand-in can measure it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cockpit.agent.arguments import MOST_ARMS
from cockpit.agent.claude import prompt
from cockpit.agent.views import briefing
from cockpit.core.model import Mode
from cockpit.core.model_usage import ModelEstimate
from cockpit.session.settings import AgentSettings

REQUESTS_PER_TURN = 3
"""A query, a proposal and a closing message. A turn that looks up more has more requests."""
TURNS_PER_WAVE = 1.2
"""A turn when a wave finishes, and some when clusters run dry before that."""
PROPOSED_SHARE = 0.55
"""About the share of all runs that are first runs of a wave's arms: 0.52 in a scripted night. The rest are second
screening runs, repeats and controls."""
BRIEFING_CHARS = 15_000
"""The typical briefing; at most briefing.NOW_CHARS."""
RESULT_CHARS = 3_000
"""A tool call and its result."""
ANSWER_TOKENS = 80
"""A tool call or a message, without the thinking."""
CHARS_PER_TOKEN = 3.5
THINKING_TOKENS = {"": 0, "low": 300, "medium": 1_000, "high": 2_500, "xhigh": 6_000, "max": 12_000}
"""Assumed thinking tokens per request, by effort."""
RUN_OVERHEAD_S = 40.0
"""Start-up, compilation and evaluation of a run."""


class NightPlan(msgspec.Struct, frozen=True):
    """The session's settings that determine the number of turns."""

    mode: Mode
    clusters: int
    hours: float
    time_budget_s: float
    wave_size: int
    share: float = 1.0
    """The share of the arms that the model proposes; below 1 in `hybrid`."""


def stable_chars(repo: Path, files: Sequence[str] = ("train.py",)) -> int:
    """Return the length of the prompt's stable part: tools, role, program.md and the editable files."""
    system = prompt.system(_text_of(repo / "program.md"))
    source = briefing.source("e0000", {path: _text_of(repo / path) for path in files})
    return len(json.dumps(prompt.tools())) + sum(len(block["text"]) for block in system) + len(source)


def estimate_usage(
    settings: AgentSettings, plan: NightPlan, stable: int, chars_per_token: float = CHARS_PER_TOKEN
) -> ModelEstimate:
    """Return the usage of a session whose prompts have a stable part of `stable` characters.

    It is the most that copilot mode needs, where a turn waits for the person. In manual mode the researcher only
    answers, so the estimate is 0.
    """
    turns = round(_turns(plan))
    requests = turns * REQUESTS_PER_TURN
    prefix, briefed, result = (chars / chars_per_token for chars in (stable, BRIEFING_CHARS, RESULT_CHARS))
    later_requests = REQUESTS_PER_TURN - 1
    read_per_turn = prefix * REQUESTS_PER_TURN + briefed * later_requests + result * sum(range(later_requests))
    written = turns * (briefed + result * later_requests)
    output, thinking = requests * ANSWER_TOKENS, requests * THINKING_TOKENS[settings.effort]
    price = settings.price(settings.model)
    thinking_usd = thinking * price.output / 1e6
    usd = (
        turns * read_per_turn * price.cache_read
        + written * price.cache_write_5m
        + (prefix * price.cache_write_1h if turns else 0.0)
        + output * price.output
    ) / 1e6 + thinking_usd
    return ModelEstimate(
        hours=plan.hours,
        effort=settings.effort,
        turns=turns,
        requests=requests,
        cache_read_tokens=round(turns * read_per_turn),
        cache_write_tokens=round(written + (prefix if turns else 0.0)),
        output_tokens=output,
        thinking_tokens=thinking,
        usd=usd,
        thinking_usd=thinking_usd,
        at_most=plan.mode is Mode.COPILOT,
    )


def _turns(plan: NightPlan) -> float:
    if plan.mode is Mode.MANUAL:
        return 0.0
    runs = plan.clusters * plan.hours * 3600 / (plan.time_budget_s + RUN_OVERHEAD_S)
    arms_per_wave = min(plan.wave_size, max(4, plan.clusters)) * plan.share
    return runs * PROPOSED_SHARE * plan.share / max(1.0, arms_per_wave) * TURNS_PER_WAVE


def sentence(usage: ModelEstimate) -> str:
    """Return the estimate for a person."""
    if not usage.requests:
        return "estimate: in manual mode claude only answers, and its cost depends on your messages"
    most = "at most " if usage.at_most else ""
    span = "an hour" if usage.hours == 1 else f"{usage.hours:g} hours"
    return (
        f"estimate: claude costs {most}about ${usage.usd:.2f} for {span} of full waves: {usage.requests:,} requests,"
        f" {usage.cache_read_tokens / 1e6:.1f}M tokens read from the cache, {usage.cache_write_tokens / 1e6:.1f}M"
        f" written, and ${usage.thinking_usd:.2f} of thinking, assumed for effort {usage.effort or 'none'}"
    )


def alternatives(settings: AgentSettings, plan: NightPlan, stable: int) -> list[str]:
    """Return the cost by effort, and that of fewer, larger turns if the clusters take larger waves."""
    if plan.mode is Mode.MANUAL:
        return []
    efforts = {effort: msgspec.structs.replace(settings, effort=effort) for effort in THINKING_TOKENS if effort}
    dollars = (f"{name} ${estimate_usage(each, plan, stable).usd:.2f}" for name, each in efforts.items())
    found = [f"by `[agent] effort`: {', '.join(dollars)}"]
    widest = min(plan.clusters, MOST_ARMS)
    if widest > plan.wave_size:
        wider = estimate_usage(settings, msgspec.structs.replace(plan, wave_size=widest), stable)
        found.append(
            f"fewer, larger turns: waves of {widest} arms (`cockpit envelope --wave-size {widest}`) make it about"
            f" ${wider.usd:.2f}"
        )
    return found


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
