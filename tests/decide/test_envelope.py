"""Proposals run without a person only within the envelope, and under a named rule."""

import re
from typing import Any

import msgspec
import pytest

from cockpit.control.verbs import verb
from cockpit.core.cluster_events import ClusterUp
from cockpit.core.events import EnvelopeSet, ModeSet
from cockpit.core.intents import SetEnvelope
from cockpit.core.model import Change, Edit, Envelope, Mode, Wave, WaveKind
from cockpit.decide.approve import outside_envelope, rule_for
from tests.decide.world import World

RUN_USD = 600 / 3600 * 2.0


def night(mode: Mode = Mode.AUTOPILOT, **envelope: object) -> World:
    """Return two clusters at $2 an hour with the baseline measured."""
    world = World(lambda constants, attempt: 1.0, hardware=("CPU",) * 2)
    world.run(1.0)
    for name in list(world.state.clusters):
        world.record(ClusterUp(at=world.now, cluster=name, hardware="CPU", usd_per_hour=2.0))
    wide = {"usd": 1e6, "filler": False, **envelope}
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(**wide), author="me"))  # type: ignore[arg-type]
    world.record(ModeSet(at=world.now, mode=mode, author="me"))
    return world


def waits(world: World, arms: int = 2, proposer: str = "human") -> Wave:
    """Propose a wave of `arms` arms."""
    world.propose(*({"LR": 10 * len(world.state.waves) + number} for number in range(arms)))
    wave = world.state.waves[next(reversed(world.state.waves))]
    wave.proposer = proposer
    return wave


def rule(world: World, wave: Wave) -> str:
    return rule_for(world.state, wave, world.now)


@pytest.mark.parametrize(("mode", "expected"), [(Mode.MANUAL, ""), (Mode.COPILOT, ""), (Mode.AUTOPILOT, "envelope")])
def test_only_autopilot_approves_by_the_envelope(mode: Mode, expected: str) -> None:
    world = night(mode)
    assert rule(world, waits(world)) == expected


def test_a_trusted_proposer_needs_no_autopilot_and_excludes_others() -> None:
    world = night(Mode.COPILOT, proposers=["claude"])
    assert rule(world, waits(world, proposer="claude")) == "envelope"
    world.record(ModeSet(at=world.now, mode=Mode.AUTOPILOT, author="me"))
    assert "does not name codex" in outside_envelope(world.state, waits(world, proposer="codex"), world.now)


def test_filler_runs_where_the_envelope_allows_it_and_never_in_manual_mode() -> None:
    world = night(filler=True)
    wave = waits(world)
    wave.kind = WaveKind.FILLER
    assert rule(world, wave) == "filler"
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, filler=False), author="me"))
    assert rule(world, wave) == ""
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, filler=True), author="me"))
    world.record(ModeSet(at=world.now, mode=Mode.MANUAL, author="me"))
    assert rule(world, wave) == ""


def test_a_wave_above_the_wave_size_waits() -> None:
    world = night(wave_size=3)
    assert rule(world, waits(world, arms=3)) == "envelope"
    assert rule(world, waits(world, arms=4)) == ""
    again = waits(world, arms=3)
    again.again = ["e0000"]
    assert "4 arms are more than the envelope's 3" in outside_envelope(world.state, again, world.now)


def test_an_edit_waits_where_the_envelope_allows_constants_only() -> None:
    world = night()
    wave = waits(world)
    arm = world.state.experiments[wave.arms[0]]
    world.state.experiments[arm.id] = msgspec.structs.replace(arm, change=Change(edits=(Edit("a", "b"),)))
    assert "constants only" in outside_envelope(world.state, wave, world.now)
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, patches=True), author="me"))
    assert rule(world, wave) == "envelope"


def test_an_envelope_ends_at_its_time() -> None:
    world = night(until=10.0 * 3600)
    wave = waits(world)
    assert rule_for(world.state, wave, 10.0 * 3600) == "envelope"
    assert "has ended" in outside_envelope(world.state, wave, 10.0 * 3600 + 1)


def test_waves_that_each_fit_do_not_exceed_the_envelope_together() -> None:
    world = night(usd=7 * RUN_USD)
    approved = 0
    for _ in range(5):
        wave = waits(world, arms=2)
        if rule(world, wave) == "envelope":
            world._act()  # approved waves are queued, and runs start
            approved += len(wave.arms)
    assert 2 <= approved <= 7
    assert "spent and approved" in outside_envelope(world.state, wave, world.now)


def test_measuring_again_costs_as_much_as_a_new_arm() -> None:
    world = night(usd=7 * RUN_USD)
    wave = waits(world, arms=1)
    wave.again, wave.replicates = ["e0000"], 8
    assert "it may cost" in outside_envelope(world.state, wave, world.now)


def test_gpu_hours_limit_the_envelope() -> None:
    world = night(gpu_hours=0.5)
    assert rule(world, waits(world, arms=2)) == "envelope"
    assert "GPU-hours" in outside_envelope(world.state, waits(world, arms=4), world.now)


@pytest.mark.parametrize(
    "limits",
    [{"usd": 0.5}, {"gpu_hours": 0.01}, {"wave_size": 1}, {"until": 3600.0}, {"patches": False}],
    ids=["usd", "gpu-hours", "wave-size", "hours", "patches"],
)
def test_a_limit_that_stops_a_wave_names_the_command_that_lets_it_run(limits: Any) -> None:
    world = night(**limits)
    wave = waits(world)
    if "patches" in limits:
        arm = world.state.experiments[wave.arms[0]]
        world.state.experiments[arm.id] = msgspec.structs.replace(arm, change=Change(edits=(Edit("a", "b"),)))
    now = world.now + 3600 * 9
    named = re.search(r"`cockpit envelope --(\S+?)(?: (\S+))?`", outside_envelope(world.state, wave, now))
    assert named is not None
    given = {named[1].replace("-", "_"): int(named[2]) if named[2] else True}
    intent = verb("envelope").intent(world.state, given, now)
    assert isinstance(intent, SetEnvelope)
    world.record(EnvelopeSet(at=now, envelope=intent.envelope, author="me"))
    assert outside_envelope(world.state, wave, now) == ""


def test_a_proposer_that_the_envelope_does_not_name_is_added_by_the_command_it_names() -> None:
    world = night(proposers=["claude"])
    wave = waits(world, proposer="codex")
    assert f"`cockpit approve {wave.id} --trust` adds it" in outside_envelope(world.state, wave, world.now)
