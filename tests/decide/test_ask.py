"""Proposers are asked before clusters run out of work, when a wave has finished, and when a person speaks."""

import pytest
from msgspec.structs import replace

from cockpit.core.agent_events import AgentHosted
from cockpit.core.events import Asked, AskEnded, BudgetSet, EnvelopeSet, Held, ModeSet, ProposerSet, Said
from cockpit.core.model import Envelope, Mode
from cockpit.core.state import shares
from cockpit.decide.ask import EARLY_RUNS, FILLER, PROPOSALS_WAITING, SLOW_S, ask
from cockpit.decide.decisions import decide
from tests.decide.world import RUN_S, World


def night(proposer: str = "claude", mode: Mode = Mode.AUTOPILOT) -> World:
    """Return four idle clusters with the baseline measured; filler may run."""
    world = World(lambda constants, attempt: 1.0)
    world.run(1.0)
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, wave_size=64), author="me"))
    world.record(ProposerSet(at=world.now, proposer=proposer, author="me"))
    world.record(ModeSet(at=world.now, mode=mode, author="me"))
    world.state.waves_finished = world.state.words_unanswered = 0
    return world


def asked(world: World) -> dict[str, str]:
    """Return each proposer that is asked now, with the reason."""
    return {one.proposer: one.reason for one in ask(world.state, world.now) if isinstance(one, Asked)}


def works(world: World) -> None:
    """Propose a wave that keeps the clusters busy."""
    world.propose(*({"LR": number} for number in range(2, 26)))
    world._act()
    world.state.ask_retry_at.clear()


def begins(world: World, proposer: str = "claude", reason: str = "dry") -> None:
    world.record(Asked(at=world.now, ask=world.state.asks_total + 1, proposer=proposer, arms=4, reason=reason))


def ends(world: World, proposer: str = "claude", trouble: str = "", retry_in_s: float = 0.0) -> None:
    retry_at = world.now + retry_in_s
    world.record(
        AskEnded(at=world.now, ask=world.state.asks_total, proposer=proposer, trouble=trouble, retry_at=retry_at)
    )


def test_idle_clusters_ask_the_proposer_and_run_filler_meanwhile() -> None:
    world = night()
    assert asked(world) == {"claude": "dry", FILLER: "filler"}
    begins(world)
    assert asked(world) == {FILLER: "filler"}, "the clusters do not wait while it thinks"


def test_the_proposer_is_asked_before_the_queue_is_empty() -> None:
    world = night()
    works(world)
    assert asked(world) == {}, "enough work is queued"
    while len(world.state.waiting) > 5:
        world.now += RUN_S / 4
        world.run(0.0)
    world.state.ask_retry_at.clear()
    assert world.state.waiting and asked(world) == {"claude": "dry"}


@pytest.mark.parametrize("wave_size", [8, 16, 40])
def test_one_ask_fills_many_clusters_as_far_as_the_wave_size_allows(wave_size: int) -> None:
    world = World(lambda constants, attempt: 1.0, hardware=("H100",) * 32)
    world.run(1.0)
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, wave_size=wave_size), author="me"))
    world.record(ProposerSet(at=world.now, proposer="claude", author="me"))
    world.record(ModeSet(at=world.now, mode=Mode.AUTOPILOT, author="me"))
    arms = [one.arms for one in ask(world.state, world.now) if isinstance(one, Asked) and one.proposer == "claude"]
    assert arms == [min(wave_size, 32)]


def test_a_finished_wave_is_a_reason_to_ask() -> None:
    world = night()
    works(world)
    world.state.waves_finished = 1
    assert asked(world) == {"claude": "finished"}
    world.record(ProposerSet(at=world.now, proposer="tpe", author="me"))
    assert asked(world) == {}, "only proposers that converse are asked again"


@pytest.mark.parametrize("mode", Mode)
def test_a_person_is_answered_at_once_in_every_mode(mode: Mode) -> None:
    world = night(mode=mode)
    begins(world)
    ends(world, retry_in_s=600.0)
    assert "claude" not in asked(world)
    world.record(Said(at=world.now, author="ann", text="Stop widening."))
    assert asked(world)["claude"] == "said"


def test_messages_of_a_failed_ask_are_answered_by_the_next() -> None:
    world = night()
    world.record(Said(at=world.now, author="ann", text="Stop widening."))
    begins(world, reason="said")
    ends(world, trouble="the API is overloaded (529)", retry_in_s=60.0)
    assert "claude" not in asked(world)
    world.now += 61
    assert asked(world)["claude"] == "said"


def test_a_message_ends_the_wait_after_a_failure_and_another_failure_waits_again() -> None:
    world = night()
    begins(world)
    ends(world, trouble="the API key was refused (401)", retry_in_s=600.0)
    assert world.state.messages[-1].text.endswith("asked again in 10 min, or when you speak")
    assert "claude" not in asked(world)
    world.record(Said(at=world.now, author="ann", text="It has a new key."))
    assert asked(world)["claude"] == "said"
    begins(world, reason="said")
    ends(world, trouble="the API key was refused (401)", retry_in_s=600.0)
    assert "claude" not in asked(world)


def test_a_message_answered_during_the_turn_causes_no_other_ask() -> None:
    world = night()
    begins(world)
    world.record(Said(at=world.now, author="ann", text="Stop widening."))
    world.record(AskEnded(at=world.now, ask=world.state.asks_total, proposer="claude", words_answered=1))
    assert asked(world)["claude"] == "dry"
    world.record(Said(at=world.now, author="ann", text="And look at the schedule."))
    assert asked(world)["claude"] == "said"


def test_hybrid_does_not_answer_its_own_model() -> None:
    world = night("hybrid")
    begins(world, "hybrid")
    world.record(Said(at=world.now, author="claude", text="I try the width."))
    ends(world, "hybrid")
    assert asked(world)["hybrid"] == "dry"
    world.record(Said(at=world.now, author="ann", text="Do."))
    assert asked(world)["hybrid"] == "said"


@pytest.mark.parametrize("part", ["claude", "search"])
def test_waiting_waves_of_a_part_of_hybrid_stop_further_asks(part: str) -> None:
    world = night("hybrid", Mode.COPILOT)
    for number in range(PROPOSALS_WAITING):
        assert "hybrid" in asked(world)
        world.propose({"LR": 100 + number})
        world.state.waves[next(reversed(world.state.waves))].proposer = part
    assert asked(world) == {FILLER: "filler"}


def test_manual_mode_and_hold_ask_only_for_answers() -> None:
    assert asked(night(mode=Mode.MANUAL)) == {}
    world = night()
    world.record(Held(at=world.now, author="ann"))
    assert asked(world) == {}


def test_waiting_proposals_stop_further_asks_but_not_filler() -> None:
    world = night(mode=Mode.COPILOT)
    for number in range(PROPOSALS_WAITING):
        assert "claude" in asked(world)
        world.propose({"LR": 100 + number})
        world.state.waves[next(reversed(world.state.waves))].proposer = "claude"
    assert asked(world) == {FILLER: "filler"}


def test_another_budget_lets_an_unpaid_proposer_be_asked_again() -> None:
    world = night()
    begins(world)
    ends(world, trouble="the budget has $0.01 left", retry_in_s=3600.0)
    assert "claude" not in asked(world)
    world.record(BudgetSet(at=world.now, usd=500.0, author="ann"))
    assert "claude" in asked(world)


def test_search_is_asked_for_at_most_the_wave_size_of_the_envelope() -> None:
    world = night(FILLER)
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, wave_size=3), author="me"))
    assert [one.arms for one in ask(world.state, world.now) if isinstance(one, Asked)] == [3]
    world.propose({"LR": 2}, {"LR": 3}, {"LR": 4})
    for event in decide(world.state, world.now):
        world.record(event)
    assert not world.state.proposals, "it needs no approval"


def in_step(runs: int) -> World:
    """Return four clusters whose runs of `search` end together, after `runs` runs on each."""
    world = night(FILLER)
    world.together = True
    for number in range(runs):
        world.propose(*({"LR": 2 + number, "DEPTH": depth} for depth in range(1, 5)))
        world.run(1.1 * RUN_S / 3600)
    world.state.ask_retry_at.clear()
    return world


def arms_asked(world: World) -> int:
    return sum(one.arms for one in ask(world.state, world.now) if isinstance(one, Asked))


def test_search_chooses_for_free_clusters_early_on_and_ahead_later() -> None:
    for runs, ahead in ((1, 0), (EARLY_RUNS + 1, 4)):
        world = in_step(runs)
        session = world.state.session
        world.state.session = replace(session, fleet=replace(session.fleet, depth=2))
        world.propose(*({"LR": 50, "DEPTH": depth} for depth in range(1, 5)))
        world.run(0.0)
        world.state.ask_retry_at.clear()
        world.now += 0.9 * RUN_S
        assert arms_asked(world) == ahead


def two_proposers(share: float = 1.0) -> World:
    """Return a night with claude, and codex beside it."""
    world = night()
    world.record(AgentHosted(at=world.now, agent="codex", command=["codex-acp"], author="me", share=share))
    return world


def arms_by_proposer(world: World) -> dict[str, int]:
    return {one.proposer: one.arms for one in ask(world.state, world.now) if isinstance(one, Asked)}


def proposes(world: World, proposer: str, arms: int) -> None:
    world.state.arms_proposed[proposer] = world.state.arms_proposed.get(proposer, 0) + arms


def test_several_proposers_are_asked_at_once_each_for_its_share() -> None:
    world = two_proposers(share=3.0)
    assert {name: arms for name, arms in arms_by_proposer(world).items() if name != FILLER} == {"claude": 1, "codex": 3}


def test_a_proposer_that_is_a_wave_ahead_waits_for_the_others() -> None:
    world = two_proposers()
    proposes(world, "claude", 6)
    assert "claude" not in asked(world) and asked(world)["codex"] == "dry"


def test_a_proposer_that_hangs_or_failed_does_not_stop_the_other() -> None:
    world = two_proposers()
    proposes(world, "claude", 60)
    begins(world, "codex")
    assert "claude" not in asked(world), "codex is prompt so far"
    world.now += SLOW_S
    assert asked(world)["claude"] == "dry"
    ends(world, "codex", trouble="it hangs", retry_in_s=600.0)
    assert asked(world)["claude"] == "dry" and "codex" not in asked(world)


def test_a_message_goes_to_the_first_proposer_or_to_the_one_it_names() -> None:
    world = two_proposers()
    works(world)
    world.record(Said(at=world.now, author="ann", text="how is it?"))
    assert asked(world) == {"claude": "said"}
    begins(world, "claude", "said")
    ends(world, "claude")
    world.record(Said(at=world.now, author="ann", text="@codex try depth"))
    assert asked(world) == {"codex": "said"}
    begins(world, "codex", "said")
    ends(world, "codex", trouble="it failed")
    assert world.state.beside["codex"].words == 1, "it is still to be answered"


def test_a_proposer_is_informed_of_the_end_of_its_own_wave() -> None:
    world = two_proposers()
    works(world)
    world.state.beside["codex"].waves = 1
    assert asked(world) == {"codex": "finished"}


def test_choosing_a_proposer_alone_ends_the_others() -> None:
    world = two_proposers()
    assert shares(world.state) == {"claude": 1.0, "codex": 1.0}
    world.record(ProposerSet(at=world.now, proposer="search", author="me", share=0.5))
    assert shares(world.state) == {"claude": 1.0, "codex": 1.0, "search": 0.5}
    world.record(ProposerSet(at=world.now, proposer="grid", author="me"))
    assert shares(world.state) == {"grid": 1.0}
