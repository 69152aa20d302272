"""How a session ends: its worker stopped, its runs finished or cancelled, its clusters taken down."""

import time

from cockpit.cli.confirm import ask_how, confirm
from cockpit.cli.locate import CommandError, session, state_of
from cockpit.cli.steer import leave
from cockpit.core.intents import End
from cockpit.core.model import Cluster, ClusterState, EndMode
from cockpit.decide.kept_changes import unablated_summary
from cockpit.session import lock, worker_process
from cockpit.session.client import SessionClient
from cockpit.session.paths import SessionFolder
from cockpit.session.user import user_name

LOOK_EVERY_S = 0.1


def stop(name: str | None, how: str | None, yes: bool, wait_s: float) -> str:
    """End a session's worker: now (runs go on), once runs have drained, or with runs cancelled. Returns a sentence."""
    folder = session(name)
    if lock.worker_status(folder).state == "stopped":
        return f"no worker runs session {folder.name}"
    how = how or ("drain" if yes else ask_how())
    return _stop(folder, how, wait_s) + _not_ablated(folder)


def _not_ablated(folder: SessionFolder) -> str:
    left = unablated_summary(state_of(folder))
    return f"\n! {left}: `cockpit ablate {folder.name}` proposes it, for when the session goes on" if left else ""


def _stop(folder: SessionFolder, how: str, wait_s: float) -> str:
    if how == "leave":
        try:
            stopped = worker_process.terminate(folder)
        except PermissionError:
            raise CommandError(f"you may watch session {folder.name}, not stop it: its worker is its owner's") from None
        if not stopped:
            raise CommandError(f"the worker of {folder.name} has not stopped yet: see {folder.worker_log}")
        return f"session {folder.name} has stopped; what runs goes on, and `cockpit` takes it up again"
    leave(folder, End(EndMode(how)))
    if _stopped_within(folder, wait_s):
        return f"session {folder.name} has stopped, its runs {'ended' if how == 'drain' else 'cancelled'}"
    return f"session {folder.name} is ending: `cockpit status {folder.name}` shows how far it is"


def down(name: str | None, how: str | None, yes: bool, wait_s: float) -> str:
    """End a session and take its clusters down. Returns a sentence; raises CommandError while one is still up."""
    folder = session(name)
    if not _up(folder) and lock.worker_status(folder).state == "stopped":
        return f"no cluster of session {folder.name} is up"
    how = how or ("cancel" if yes else ask_how(leave=False))
    if not yes:
        confirm(f"Take down {_names(_up(folder))}, and end session {folder.name}.", yes)
    _ask_for_the_end(folder, End(EndMode(how), clusters_down=True))
    ended = _stopped_within(folder, wait_s)
    left = _up(folder)
    if left:
        still = f"{_names(left)} of session {folder.name} {'is' if len(left) == 1 else 'are'} still up"
        if ended:
            how = f"run `cockpit down {folder.name}` again, or `sky down` what `sky status` lists of it"
            raise CommandError(f"{still}: {how}")
        raise CommandError(f"{still} after {wait_s:g} s: its worker goes on, `cockpit status {folder.name}` shows it")
    if not ended:
        raise CommandError(f"the clusters are down and the worker is not: see {folder.worker_log}")
    return f"session {folder.name} has ended and no cluster of it is up"


def _ask_for_the_end(folder: SessionFolder, intent: End) -> None:
    """The intent is there before the worker that finds it, so that one which must first be started launches nothing."""
    if lock.worker_status(folder).state != "stopped":
        leave(folder, intent)
        return
    client = SessionClient(folder, user_name())
    client.send(intent)
    client.close()
    worker_process.start(folder)


def _up(folder: SessionFolder) -> list[Cluster]:
    over = (ClusterState.DOWN, ClusterState.GIVEN_UP)
    clusters = state_of(folder).clusters.values()
    return [cluster for cluster in clusters if cluster.state not in over or cluster.unverified]


def _names(clusters: list[Cluster]) -> str:
    if len(clusters) > 4:
        return f"{len(clusters)} clusters"
    return ", ".join(cluster.name for cluster in clusters) or "no cluster"


def _stopped_within(folder: SessionFolder, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while lock.worker_status(folder).state != "stopped":
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK_EVERY_S)
    return True
