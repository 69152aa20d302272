"""`cockpit stop` and `cockpit down`: the end of a session's worker, of its attempts and of its clusters."""

import time

from cockpit.cli.confirm import ask_how, confirm
from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session, session_now, state_of
from cockpit.cli.steer import send_and_await
from cockpit.control.costs import cluster_names, clusters_up
from cockpit.control.verbs import verb
from cockpit.core.intents import Intent
from cockpit.decide.kept_changes import unablated_summary
from cockpit.session import lock, worker_process
from cockpit.session.heartbeat import ENDING_WITHIN_S, is_ending
from cockpit.session.paths import SessionFolder

LOOK_EVERY_S = 0.1


def stop(name: str | None, how: str | None, yes: bool, wait_s: float) -> str:
    """End a session's worker: now (attempts keep running), when attempts have finished, or with attempts cancelled.

    Returns a sentence.
    """
    folder = session(name)
    if lock.worker_status(folder).state == "stopped":
        return f"no worker runs session {folder.name}"
    if is_ending(folder):
        return _await_its_end(folder)
    how = how or ("drain" if yes else ask_how())
    return _stop(folder, how, wait_s) + _not_ablated(folder)


def _await_its_end(folder: SessionFolder) -> str:
    """Wait for a worker that ends already, by another command or its own session's end. Returns a sentence."""
    if not _stopped_within(folder, ENDING_WITHIN_S):
        raise CommandError(f"the worker of {folder.name} has not stopped yet: see {folder.worker_log}")
    left = "; running attempts continue, and `cockpit` opens it again" if state_of(folder).in_flight else ""
    return f"session {folder.name} was ending already, and has stopped{left}"


def _not_ablated(folder: SessionFolder) -> str:
    left = unablated_summary(state_of(folder))
    return f"\n! {left}; `cockpit ablate {folder.name}` proposes it for when the session continues" if left else ""


def _stop(folder: SessionFolder, how: str, wait_s: float) -> str:
    if how == "leave":
        try:
            stopped = worker_process.terminate(folder)
        except PermissionError:
            raise CommandError(f"you may watch session {folder.name}, not stop it: its worker is its owner's") from None
        if not stopped:
            raise CommandError(f"the worker of {folder.name} has not stopped yet: see {folder.worker_log}")
        return f"session {folder.name} has stopped; running attempts continue, and `cockpit` opens it again"
    state = state_of(folder)
    if send_and_await(folder, verb("end").intent(state, {"how": how}, session_now(state))) is None:
        name = folder.name
        return f"session {name} stopped before it took this: `cockpit start {name}` starts a worker that ends its runs"
    if _stopped_within(folder, wait_s):
        return f"session {folder.name} has stopped, its runs {'ended' if how == 'drain' else 'cancelled'}"
    return f"session {folder.name} is ending: `cockpit status {folder.name}` shows how far it is"


def down(name: str | None, how: str | None, yes: bool, wait_s: float) -> str:
    """End a session and take its clusters down. Returns a sentence. Raises CommandError if one is still up."""
    folder = session(name)
    if not clusters_up(state_of(folder)) and lock.worker_status(folder).state == "stopped":
        return f"no cluster of session {folder.name} is up"
    how = how or ("cancel" if yes else ask_how(leave=False))
    row, state, given = verb("end"), state_of(folder), {"how": how, "down": True}
    confirm(row.cost(state, given, session_now(state)), yes)
    _request_end(folder, row.intent(state, given, session_now(state)))
    ended = _stopped_within(folder, wait_s)
    left = clusters_up(state_of(folder))
    if left:
        still = f"{cluster_names(left)} of session {folder.name} {'is' if len(left) == 1 else 'are'} still up"
        if ended:
            how = f"run `cockpit down {folder.name}` again, or `sky down` the clusters that `sky status` lists"
            raise CommandError(f"{still}: {how}")
        raise CommandError(f"{still} after {wait_s:g} s: its worker continues, `cockpit status {folder.name}` shows it")
    if not ended:
        raise CommandError(f"the clusters are down, but the worker still runs: see {folder.worker_log}")
    return f"session {folder.name} has ended, and no cluster of it is up"


def _request_end(folder: SessionFolder, intent: Intent) -> None:
    """Send the intent, and start a worker if none runs. The intent is first, so that a new worker launches nothing."""
    if send_and_await(folder, intent) is None:
        worker_process.start(folder)


def _stopped_within(folder: SessionFolder, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while lock.worker_status(folder).state != "stopped":
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK_EVERY_S)
    return True
