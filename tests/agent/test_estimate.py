"""The estimate of the researcher's usage, against a scripted night on the stand-in API."""

import itertools
import re
from pathlib import Path

import msgspec
import pytest

from benchmarks.effort import chosen, efforts
from cockpit.agent.claude.estimate import NightPlan, alternatives, estimate_usage, sentence, stable_chars
from cockpit.core.agent_events import ApiUsed
from cockpit.core.events import Asked as ProposerAsked
from cockpit.core.model import Mode
from cockpit.core.model_usage import ModelEstimate
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import AgentSettings
from tests.agent.direct_api import make_repo
from tests.agent.messages_server import CHARS_PER_TOKEN, Answer, Asked, calls, says
from tests.agent.test_night import Script, run_night
from tests.cli.shell import cockpit
from tests.worker.sessions import state_of

HOURS = 2.0
CLUSTERS = 16
PLAN = NightPlan(Mode.AUTOPILOT, CLUSTERS, HOURS, time_budget_s=300.0, wave_size=16)


def filling_script() -> Script:
    """Return a model that queries, proposes as many new arms as were requested, and ends its turn."""
    numbers = itertools.count()

    def script(asked: Asked) -> Answer:
        if asked.opens_turn:
            return calls("query_experiments", {"limit": 12, "sort": "score"})
        if "rows" not in asked.answers[-1]:
            return says("The wave is proposed. I expect the middle of the grid to be best.")
        found = re.search(r"could start about (\d+) arms", asked.briefing)
        assert found is not None
        number, levels = next(numbers), max(1, int(found[1]) // 4)
        wave = {
            "question": f"Which rate and cooldown are best, part {number}?",
            "hypothesis": "The middle of the grid is best, and the two do not interact.",
            "factors": {
                "MATRIX_LR": [round(0.03 + 0.005 * level + 1e-5 * number, 6) for level in range(4)],
                "WARMDOWN_RATIO": [round(0.4 + 0.1 * level + 1e-4 * number, 5) for level in range(levels)],
            },
        }
        return calls("propose_wave", wave)

    return script


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, list[ApiUsed]]:
    """Return the session's folder, the number of turns, and the usage of each request."""
    place = tmp_path_factory.mktemp("estimate")
    _, server, events, _ = run_night(place, lambda _: filling_script(), budget_hours=HOURS, clusters=CLUSTERS)
    assert not server.problems
    turns = sum(isinstance(event, ProposerAsked) and event.proposer == "claude" for event in events)
    return place, turns, [event for event in events if isinstance(event, ApiUsed)]


def within(estimated: float, measured: float, factor: float = 1.4) -> bool:
    return measured / factor <= estimated <= measured * factor


@pytest.mark.timeout(300)
def test_the_estimate_is_near_the_usage_of_a_scripted_night(night: tuple[Path, int, list[ApiUsed]]) -> None:
    place, turns, used = night
    settings = AgentSettings(effort="")  # the stand-in does not think
    usage = estimate_usage(settings, PLAN, stable_chars(place / "repo"), chars_per_token=CHARS_PER_TOKEN)
    read, written = sum(event.cache_read_tokens for event in used), sum(event.cache_write_tokens for event in used)
    measured = f"{turns} turns, {len(used)} requests, {read} read, {written} written, ${sum(e.usd for e in used):.2f}"
    assert within(usage.turns, turns), measured
    assert within(usage.requests, len(used)), measured
    assert within(usage.cache_read_tokens, read), measured
    assert within(usage.cache_write_tokens, written), measured
    assert within(usage.usd, sum(event.usd for event in used)), measured


def estimate(plan: NightPlan = PLAN, effort: str = "high", stable: int = 35_000) -> ModelEstimate:
    return estimate_usage(AgentSettings(effort=effort), plan, stable)  # type: ignore[arg-type]


def test_the_estimate_follows_hours_effort_and_share() -> None:
    twice = estimate(msgspec.structs.replace(PLAN, hours=2 * HOURS))
    assert twice.requests == pytest.approx(2 * estimate().requests, rel=0.1)
    dollars = [estimate(effort=effort).usd for effort in ("", "low", "medium", "high", "xhigh", "max")]
    assert dollars == sorted(dollars) and dollars[0] < dollars[1]
    assert estimate(effort="").thinking_usd == 0.0
    few, many = (msgspec.structs.replace(PLAN, clusters=clusters) for clusters in (4, 64))
    assert estimate(few).turns < estimate(many).turns


def test_the_default_effort_is_chosen_by_what_it_costs_a_kept_gain() -> None:
    assert AgentSettings().effort == chosen()
    costs = [each.keep_usd for each in efforts()]
    assert costs == sorted(costs), "with the same keeps a higher effort costs more for each"


def test_manual_mode_has_no_estimate_and_copilot_an_upper_bound() -> None:
    manual, copilot = (msgspec.structs.replace(PLAN, mode=mode) for mode in (Mode.MANUAL, Mode.COPILOT))
    settings = AgentSettings()
    assert estimate(manual).usd == 0.0
    assert "depends on your messages" in sentence(estimate(manual))
    assert "at most about $" in sentence(estimate(copilot))
    assert "assumed for effort high" in sentence(estimate())
    assert not alternatives(settings, manual, 35_000)


def test_a_fleet_that_takes_larger_waves_is_offered_them_with_what_they_save() -> None:
    (by_effort,) = alternatives(AgentSettings(), PLAN, 35_000)
    assert f"medium ${estimate(effort='medium').usd:.2f}" in by_effort
    many = msgspec.structs.replace(PLAN, clusters=64)
    wider = msgspec.structs.replace(many, wave_size=64)
    _, fewer = alternatives(AgentSettings(effort="high"), many, 35_000)
    assert fewer.startswith("fewer, larger turns: waves of 64 arms (`cockpit envelope --wave-size 64`)")
    assert f"${estimate(wider).usd:.2f}" in fewer
    assert estimate(wider).turns == pytest.approx(estimate(many).turns / 4, abs=1)


@pytest.mark.parametrize(
    ("proposer", "words"), [("hybrid", "estimate: claude costs at most about $"), ("search", "runs in the background")]
)
@pytest.mark.timeout(120)
def test_a_new_session_with_claude_prints_the_estimate(tmp_path: Path, proposer: str, words: str) -> None:
    repo = make_repo(tmp_path / "repo")
    settings = ("--fleet", "sim", "--clusters", "4", "--mode", "copilot", "--hours", "8", "--proposer", proposer)
    done = cockpit(tmp_path, "new", "night", *settings, cwd=repo)
    worker_process.terminate(SessionFolder(tmp_path / "sessions" / "night"))
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert ("for 8 hours of full waves" in done.stdout) is (proposer == "hybrid")
    kept = state_of(SessionFolder(tmp_path / "sessions" / "night")).model_estimate
    assert (kept is not None) is (proposer == "hybrid")
    if kept is not None:
        assert sentence(kept) in done.stdout and "by `[agent] effort`: low $" in done.stdout
        assert "`cockpit envelope --worth-usd N`" in done.stdout
