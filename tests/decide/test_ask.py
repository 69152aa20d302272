"""When a proposer is asked: before clusters run dry, when a wave has told its story, when a person speaks."""

import pytest
from msgspec.structs import replace

from cockpit.core.events import Asked, AskEnded, BudgetSet, EnvelopeSet, Held, ModeSet, ProposerSet, Said
from cockpit.core.model import Envelope, Mode
from cockpit.decide import decide
from cockpit.decide.ask import EARLY_RUNS, FILLER, PROPOSALS_WAITING, ask
from tests.decide.world import RUN_S, World


def night(proposer: str = "claude", mode: Mode = Mode.AUTOPILOT) -> World:
    """Four clusters with the baseline measured and nothing to do; filler may run."""
    world = World(lambda constants, attempt: 1.0)
    world.run(1.0)
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, wave_size=64), author="me"))
    world.record(ProposerSet(at=world.now, proposer=proposer, author="me"))
    world.record(ModeSet(at=world.now, mode=mode, author="me"))
    world.state.waves_finished = world.state.words_unanswered = 0
    return world


def asked(world: World) -> dict[str, str]:
    """Proposer to the reason it is asked for now."""
    return {one.proposer: one.reason for one in ask(world.state, world.now) if isinstance(one, Asked)}


def works(world: World) -> None:
    """A wave that keeps the clusters busy for a while."""
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


def test_it_is_asked_when_clusters_run_dry_and_filler_does_not_wait_for_it() -> None:
    world = night()
    assert asked(world) == {"claude": "dry", FILLER: "filler"}
    begins(world)
    assert asked(world) == {FILLER: "filler"}, "it thinks; the clusters do not wait"


def test_it_is_asked_before_what_waits_is_used_up() -> None:
    world = night()
    works(world)
    assert asked(world) == {}, "there is work for a while"
    while len(world.state.waiting) > 5:
        world.now += RUN_S / 4
        world.run(0.0)
    world.state.ask_retry_at.clear()
    assert world.state.waiting and asked(world) == {"claude": "dry"}


def test_a_wave_that_has_told_its_story_is_a_reason_by_itself() -> None:
    world = night()
    works(world)
    world.state.waves_finished = 1
    assert asked(world) == {"claude": "finished"}
    world.record(ProposerSet(at=world.now, proposer="tpe", author="me"))
    assert asked(world) == {}, "only who converses looks again"


@pytest.mark.parametrize("mode", Mode)
def test_a_person_is_answered_at_once_in_every_mode(mode: Mode) -> None:
    world = night(mode=mode)
    begins(world)
    ends(world, retry_in_s=600.0)
    assert "claude" not in asked(world)
    world.record(Said(at=world.now, author="ann", text="Stop widening."))
    assert asked(world)["claude"] == "said"


def test_what_was_said_to_it_in_vain_is_said_again_when_it_can_hear() -> None:
    world = night()
    world.record(Said(at=world.now, author="ann", text="Stop widening."))
    begins(world, reason="said")
    ends(world, trouble="the API is overloaded (529)", retry_in_s=60.0)
    assert "claude" not in asked(world)
    world.now += 61
    assert asked(world)["claude"] == "said"


def test_a_word_is_a_try_at_once_after_trouble_and_a_try_in_vain_waits_again() -> None:
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


def test_a_word_that_was_answered_in_the_turn_that_went_on_is_not_asked_for_again() -> None:
    world = night()
    begins(world)
    world.record(Said(at=world.now, author="ann", text="Stop widening."))
    world.record(AskEnded(at=world.now, ask=world.state.asks_total, proposer="claude", words_answered=1))
    assert asked(world)["claude"] == "dry"
    world.record(Said(at=world.now, author="ann", text="And look at the schedule."))
    assert asked(world)["claude"] == "said"


def test_what_the_model_says_for_hybrid_is_not_for_hybrid_to_answer() -> None:
    world = night("hybrid")
    begins(world, "hybrid")
    world.record(Said(at=world.now, author="claude", text="I try the width."))
    ends(world, "hybrid")
    assert asked(world)["hybrid"] == "dry"
    world.record(Said(at=world.now, author="ann", text="Do."))
    assert asked(world)["hybrid"] == "said"


@pytest.mark.parametrize("part", ["claude", "search"])
def test_a_person_with_the_waves_of_either_part_of_hybrid_to_read_is_not_sent_more(part: str) -> None:
    world = night("hybrid", Mode.COPILOT)
    for number in range(PROPOSALS_WAITING):
        assert "hybrid" in asked(world)
        world.propose({"LR": 100 + number})
        world.state.waves[next(reversed(world.state.waves))].proposer = part
    assert asked(world) == {FILLER: "filler"}


def test_in_manual_mode_and_on_hold_nothing_else_is_asked_for() -> None:
    assert asked(night(mode=Mode.MANUAL)) == {}
    world = night()
    world.record(Held(at=world.now, author="ann"))
    assert asked(world) == {}


def test_a_person_with_proposals_to_read_is_not_sent_more_but_clusters_are_kept_busy() -> None:
    world = night(mode=Mode.COPILOT)
    for number in range(PROPOSALS_WAITING):
        assert "claude" in asked(world)
        world.propose({"LR": 100 + number})
        world.state.waves[next(reversed(world.state.waves))].proposer = "claude"
    assert asked(world) == {FILLER: "filler"}


def test_another_budget_lets_who_could_not_be_paid_be_asked_again() -> None:
    world = night()
    begins(world)
    ends(world, trouble="the budget has $0.01 left", retry_in_s=3600.0)
    assert "claude" not in asked(world)
    world.record(BudgetSet(at=world.now, usd=500.0, author="ann"))
    assert "claude" in asked(world)


def test_search_is_asked_for_no_more_at_once_than_the_envelope_lets_run() -> None:
    world = night(FILLER)
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, wave_size=3), author="me"))
    assert [one.arms for one in ask(world.state, world.now) if isinstance(one, Asked)] == [3]
    world.propose({"LR": 2}, {"LR": 3}, {"LR": 4})
    for event in decide(world.state, world.now):
        world.record(event)
    assert not world.state.proposals, "it waits for nobody"


def in_step(runs: int) -> World:
    """Four clusters whose runs of `search` all end at once, each having ended so many before."""
    world = night(FILLER)
    world.together = True
    for number in range(runs):
        world.propose(*({"LR": 2 + number, "DEPTH": depth} for depth in range(1, 5)))
        world.run(1.1 * RUN_S / 3600)
    world.state.ask_retry_at.clear()
    return world


def arms_asked(world: World) -> int:
    return sum(one.arms for one in ask(world.state, world.now) if isinstance(one, Asked))


def test_early_on_search_chooses_an_arm_when_its_cluster_is_free_and_later_ahead_of_that() -> None:
    for runs, ahead in ((1, 0), (EARLY_RUNS + 1, 4)):
        world = in_step(runs)
        session = world.state.session
        assert session is not None
        world.state.session = replace(session, fleet=replace(session.fleet, depth=2))
        world.propose(*({"LR": 50, "DEPTH": depth} for depth in range(1, 5)))
        world.run(0.0)
        world.state.ask_retry_at.clear()
        world.now += 0.9 * RUN_S
        assert arms_asked(world) == ahead
