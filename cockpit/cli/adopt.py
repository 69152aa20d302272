"""`cockpit adopt`: a session takes over clusters that somebody launched by hand."""

import time

from cockpit.cli.locate import CommandError, session, state_of
from cockpit.cli.steer import leave
from cockpit.core.intents import Adopt
from cockpit.core.model import Cluster, ClusterState
from cockpit.session.paths import SessionFolder

FOUND_WITHIN_S = 120.0
LOOK_EVERY_S = 0.2


def adopt(clusters: list[str], name: str | None) -> str:
    """Take the clusters over, one after the other, and wait until SkyPilot has said of each that it is there.

    Returns a sentence. Raises CommandError with what was said of those that cannot be taken over.
    """
    folder = session(name)
    taken, refused = [], []
    for cluster in clusters:
        try:
            if leave(folder, Adopt(cluster)) is None:
                return f"noted: `cockpit open {folder.name}` starts the worker that takes over {', '.join(clusters)}"
            found = _found(folder, cluster)
            taken.append(f"{cluster} ({found.hardware or 'CPU'})")
        except CommandError as error:
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
    raise CommandError(f"{name} has not answered in {FOUND_WITHIN_S:.0f} s: `cockpit status` shows what becomes of it")
