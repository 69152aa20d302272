"""What runs without a person, and under which rule: nothing outside the envelope, however it is asked for."""

import msgspec
import pytest

from cockpit.core.events import ClusterUp, EnvelopeSet, ModeSet
from cockpit.core.model import Change, Edit, Envelope, Mode, Wave, WaveKind
from cockpit.decide.approve import outside_envelope, rule_for
from tests.decide.world import World

RUN_USD = 600 / 3600 * 2.0


def night(mode: Mode = Mode.AUTOPILOT, **envelope: object) -> World:
    """Two clusters at $2 an hour, the baseline measured."""
    world = World(lambda constants, attempt: 1.0, hardware=("CPU",) * 2)
    world.run(1.0)
    for name in list(world.state.clusters):
        world.record(ClusterUp(at=world.now, cluster=name, hardware="CPU", usd_per_hour=2.0))
    wide = {"usd": 1e6, "filler": False, **envelope}
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(**wide), author="me"))  # type: ignore[arg-type]
    world.record(ModeSet(at=world.now, mode=mode, author="me"))
    return world


def waits(world: World, arms: int = 2, proposer: str = "human") -> Wave:
    """A wave of that many arms that waits."""
    world.propose(*({"LR": 10 * len(world.state.waves) + number} for number in range(arms)))
    wave = world.state.waves[next(reversed(world.state.waves))]
    wave.proposer = proposer
    return wave


def rule(world: World, wave: Wave) -> str:
    return rule_for(world.state, wave, world.now)


@pytest.mark.parametrize(("mode", "expected"), [(Mode.MANUAL, ""), (Mode.COPILOT, ""), (Mode.AUTOPILOT, "envelope")])
def test_only_autopilot_approves_unasked(mode: Mode, expected: str) -> None:
    world = night(mode)
    assert rule(world, waits(world)) == expected


def test_a_proposer_trusted_by_name_needs_no_autopilot_and_shuts_the_others_out() -> None:
    world = night(Mode.COPILOT, proposers=["claude"])
    assert rule(world, waits(world, proposer="claude")) == "envelope"
    world.record(ModeSet(at=world.now, mode=Mode.AUTOPILOT, author="me"))
    assert "does not name codex" in outside_envelope(world.state, waits(world, proposer="codex"), world.now)


def test_filler_runs_where_the_envelope_says_so_and_never_in_manual_mode() -> None:
    world = night(filler=True)
    wave = waits(world)
    wave.kind = WaveKind.FILLER
    assert rule(world, wave) == "filler"
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, filler=False), author="me"))
    assert rule(world, wave) == ""
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, filler=True), author="me"))
    world.record(ModeSet(at=world.now, mode=Mode.MANUAL, author="me"))
    assert rule(world, wave) == ""


def test_a_wave_that_is_too_large_waits_whatever_it_is_made_of() -> None:
    world = night(wave_size=3)
    assert rule(world, waits(world, arms=3)) == "envelope"
    assert rule(world, waits(world, arms=4)) == ""
    again = waits(world, arms=3)
    again.again = ["e0000"]
    assert "4 arms are more than the envelope's 3" in outside_envelope(world.state, again, world.now)


def test_code_waits_where_the_envelope_has_constants_only() -> None:
    world = night()
    wave = waits(world)
    arm = world.state.experiments[wave.arms[0]]
    world.state.experiments[arm.id] = msgspec.structs.replace(arm, change=Change(edits=(Edit("a", "b"),)))
    assert "constants only" in outside_envelope(world.state, wave, world.now)
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, patches=True), author="me"))
    assert rule(world, wave) == "envelope"


def test_an_envelope_ends_when_it_was_said_to() -> None:
    world = night(until=10.0 * 3600)
    wave = waits(world)
    assert rule_for(world.state, wave, 10.0 * 3600) == "envelope"
    assert "has ended" in outside_envelope(world.state, wave, 10.0 * 3600 + 1)


def test_waves_that_fit_one_by_one_do_not_pass_the_envelope_together() -> None:
    world = night(usd=7 * RUN_USD)
    approved = 0
    for _ in range(5):
        wave = waits(world, arms=2)
        if rule(world, wave) == "envelope":
            world._act()  # what is approved is queued, and what can run starts
            approved += len(wave.arms)
    assert 2 <= approved <= 7
    assert "spent and approved" in outside_envelope(world.state, wave, world.now)


def test_what_is_measured_again_costs_as_much_as_what_is_new() -> None:
    world = night(usd=7 * RUN_USD)
    wave = waits(world, arms=1)
    wave.again, wave.replicates = ["e0000"], 8
    assert "it may cost" in outside_envelope(world.state, wave, world.now)


def test_gpu_hours_have_an_end_of_their_own() -> None:
    world = night(gpu_hours=0.5)
    assert rule(world, waits(world, arms=2)) == "envelope"
    assert "GPU-hours" in outside_envelope(world.state, waits(world, arms=4), world.now)
