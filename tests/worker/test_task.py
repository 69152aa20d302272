"""An edit of experiment.yaml during a session: it is said, taken on a person's word, and results are told apart."""

import pytest

from cockpit.core.cluster_events import ClusterUp, Launching
from cockpit.core.event_codec import decode_event, encode_event
from cockpit.core.events import Event, SessionCreated
from cockpit.core.fold import fold
from cockpit.core.intents import TakeTask
from cockpit.core.model import Envelope, Mode
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.core.task_events import TaskTaken
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.fleet.base import TaskSeen
from cockpit.worker.reports import Reports
from tests.decide.world import World

OLD, NEW = "run: old\n", "run: export SEED=7; new\n"


def night(kind: str = "sky", *events: Event) -> State:
    spec = FleetSpec(kind, (ClusterSpec("gpu-01"),), screen_hardware="H100", validate_hardware="H200")
    session = Session("night", "/repo", "c0", spec, 0.0, "ann")
    state = fold(None, SessionCreated(at=0.0, session=session, mode=Mode.MANUAL, envelope=Envelope()))
    for event in (TaskTaken(at=0.0, text=OLD, sha256="0", author="ann"), *events):
        state = fold(state, event)
    return state


def seen(state: State, report: TaskSeen) -> State:
    for event in Reports(lambda attempt: None).events(state, report):  # type: ignore[arg-type, return-value]
        state = fold(state, decode_event(encode_event(event)))
    return state


def taken(state: State) -> State:
    for event in handle_intent(state, TakeTask(), "ann", 9.0):
        state = fold(state, event)
    return state


def test_a_change_is_said_with_its_fields_and_is_not_used() -> None:
    state = seen(night(), TaskSeen(1.0, NEW, fields=("run",)))
    assert (state.task, state.task_offered) == (OLD, NEW)
    assert state.messages[-1].text == (
        "experiment.yaml changed (run): runs use it as it was recorded; `cockpit task` takes the change"
    )


def test_the_same_text_is_not_said_and_a_change_that_is_undone_is() -> None:
    state = seen(night(), TaskSeen(1.0, OLD))
    assert not state.messages
    state = seen(seen(state, TaskSeen(2.0, NEW)), TaskSeen(3.0, OLD))
    assert state.task_offered == "" and state.messages[-1].text == "experiment.yaml is again as it was recorded"


def test_a_file_that_cannot_be_used_is_said_and_cannot_be_taken() -> None:
    state = seen(night(), TaskSeen(1.0, "", "SkyPilot rejects experiment.yaml: 3 is not of type 'string'"))
    assert state.messages[-1].text.startswith("experiment.yaml cannot be used: SkyPilot rejects")
    with pytest.raises(Refused, match="there is no change to take"):
        taken(state)


def test_only_a_session_on_skypilot_has_a_task() -> None:
    with pytest.raises(Refused, match="only a session on SkyPilot has a task file"):
        taken(night("sim"))


def test_a_session_of_an_older_cockpit_records_the_task_it_finds() -> None:
    state = night()
    state.task, state.task_number = "", 0
    state = seen(state, TaskSeen(1.0, NEW))
    assert (state.task, state.task_number) == (NEW, 1)
    assert state.session.fleet.screen_hardware == "H100", "nothing is told apart"


def test_a_taken_change_gives_the_classes_new_names() -> None:
    up = ClusterUp(at=2.0, cluster="gpu-01", hardware="H100")
    state = taken(seen(night("sky", Launching(at=1.0, cluster="gpu-01"), up), TaskSeen(3.0, NEW)))
    assert (state.task, state.task_offered, state.task_number) == (NEW, "", 2)
    fleet = state.session.fleet
    assert (fleet.screen_hardware, fleet.validate_hardware) == ("H100 (task 2)", "H200 (task 2)")
    assert state.clusters["gpu-01"].hardware == "H100 (task 2)"
    assert fold(state, up).clusters["gpu-01"].hardware == "H100 (task 2)", "a cluster that comes up later too"


def test_results_before_and_after_are_in_different_classes_and_the_search_continues() -> None:
    world = World(lambda constants, attempt: 1.0 - 0.05 * (constants["LR"] == 2), hardware=("H100",) * 4)
    world.run(0.2)
    world.propose({"LR": 3})
    world.run(0.2)
    before = set(world.state.experiments[world.state.baseline].scores)
    world.record(TaskTaken(at=world.now, text=OLD, sha256="0", author="ann"))
    world.record(TaskTaken(at=world.now, text=NEW, sha256="1", author="ann"))
    (better,) = world.propose({"LR": 2})
    state = world.run(3.0)
    assert before == {"H100"}
    assert set(state.experiments[better].scores) == {"H100 (task 2)"}
    assert "H100 (task 2)" in state.experiments[state.baseline].scores, "the incumbent is measured again"
    assert state.incumbent == better, state.experiments[better].reason
    estimate = state.experiments[better].estimate
    assert estimate is not None and estimate.hardware == "H100 (task 2)"
