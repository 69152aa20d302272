"""Fold the task file of a session on SkyPilot: the text that runs use, and a changed text that a person may take.

A run under another task is not measured by the same rules. Once a person takes a changed task the hardware classes
have new names, so that no result from before is compared with one from after.
"""

import msgspec

from cockpit.core.fold.conversation import say
from cockpit.core.fold.handlers import Handlers
from cockpit.core.state import State, class_under_task
from cockpit.core.task_events import TaskOffered, TaskTaken


def _taken(state: State, event: TaskTaken) -> None:
    state.task, state.task_offered = event.text, ""
    state.task_number += 1
    if state.task_number == 1:
        return
    for cluster in state.clusters.values():
        cluster.hardware = class_under_task(cluster.hardware, state.task_number)
        cluster.controlled, cluster.control_age = False, 0
    for name in state.waiting:
        attempt = state.attempts[name]
        attempt.hardware = class_under_task(attempt.hardware, state.task_number)
    fleet = state.session.fleet
    screen, validate = (
        class_under_task(name, state.task_number) for name in (fleet.screen_hardware, fleet.validate_hardware)
    )
    fleet = msgspec.structs.replace(fleet, screen_hardware=screen, validate_hardware=validate)
    state.session = msgspec.structs.replace(state.session, fleet=fleet)
    text = (
        f"{event.author} takes the changed experiment.yaml: runs from now on are task {state.task_number}, and are"
        " not compared with those before. Clusters that are up keep their set-up until they are relaunched"
    )
    say(state, event.at, "cockpit", text, "news")


def _offered(state: State, event: TaskOffered) -> None:
    was_offered, state.task_offered = state.task_offered, "" if event.problem else event.text
    if event.problem:
        text = f"experiment.yaml cannot be used: {event.problem}; runs use it as it was recorded"
    elif event.text:
        changed = f" ({', '.join(event.fields)})" if event.fields else ""
        text = f"experiment.yaml changed{changed}: runs use it as it was recorded; `cockpit task` takes the change"
    elif was_offered:
        text = "experiment.yaml is again as it was recorded"
    else:
        return
    say(state, event.at, "cockpit", text, "trouble" if event.text or event.problem else "news")


HANDLERS: Handlers = {TaskTaken: _taken, TaskOffered: _offered}
