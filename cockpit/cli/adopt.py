"""`cockpit adopt`: a session takes over clusters that were launched by hand."""

import time

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session, session_now, state_of
from cockpit.cli.steer import send_and_await
from cockpit.control.verbs import verb
from cockpit.core.model import Cluster, ClusterState
from cockpit.session.client import SteeringError
from cockpit.session.paths import SessionFolder

FOUND_WITHIN_S = 120.0
LOOK_EVERY_S = 0.2


def adopt(clusters: list[str], name: str | None) -> str:
    """Take the clusters over, one after the other, and wait until SkyPilot finds each. Returns a sentence.

    Raises CommandError with the reason for each cluster that cannot be taken over.
    """
    folder, row = session(name), verb("adopt")
    state = state_of(folder)
    taken, refused = [], []
    for cluster in clusters:
        try:
            intent = row.intent(state, {"cluster": cluster}, session_now(state))
            if send_and_await(folder, intent) is None:
                return f"queued: `cockpit start {folder.name}` starts the worker that takes over {', '.join(clusters)}"
            found = _found(folder, cluster)
            taken.append(f"{cluster} ({found.hardware or 'CPU'})")
        except (CommandError, SteeringError) as error:
            refused.append(str(error))
    if refused:
        raise CommandError("; ".join([*refused, *([f"taken over: {', '.join(taken)}"] if taken else [])]))
    return f"session {folder.name} has taken over {', '.join(taken)}"


def _found(folder: SessionFolder, name: str) -> Cluster:
    until = time.monotonic() + FOUND_WITHIN_S
    while time.monotonic() < until:
        cluster = state_of(folder).clusters[name]
        if cluster.state in (ClusterState.IDLE, ClusterState.BUSY):
            return cluster
        if cluster.state is ClusterState.GIVEN_UP:
            raise CommandError(cluster.message)
        time.sleep(LOOK_EVERY_S)
    raise CommandError(f"{name} was not found within {FOUND_WITHIN_S:.0f} s: `cockpit status` shows its state")
