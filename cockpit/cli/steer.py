"""Intents from the command line: left in the inbox, and the worker's answer waited for."""

import json
import time
from argparse import Namespace

from cockpit.cli.confirm import confirm
from cockpit.cli.locate import CommandError, session, session_now, state_of
from cockpit.cli.steering import Steer, cost_of
from cockpit.core.events import IntentTaken
from cockpit.core.intents import Approve, Intent, encode_intent
from cockpit.core.state import State
from cockpit.read.forecasts import forecast_words, forecasts_of
from cockpit.report.results import clean
from cockpit.session.ledger import Inbox, Ledger, LedgerError
from cockpit.session.paths import SessionFolder

ANSWER_WITHIN_S = 20.0


def steer(command: Steer, given: Namespace) -> None:
    """Carry out a steering command, asked about first where it costs something, and say what came of it."""
    folder = session(given.session)
    state = state_of(folder)
    intent = command.make(given, state)
    if isinstance(intent, str):
        print(json.dumps({"said": intent}) if given.json else intent)
        return
    if cost := cost_of(command, given, state, session_now(state)):
        confirm(cost, given.yes)
    said = {name: value or "the session" if name == "target" else value for name, value in vars(given).items()}
    notes = {"forecast": forecast_of_wave(state, intent.wave)} if isinstance(intent, Approve) else {}
    tell(folder, leave(folder, intent), command.done.format(**said), given.json, **notes)


def forecast_of_wave(state: State, wave: str) -> str:
    """What the arms of a wave that waits will do, in a sentence; empty for no such wave."""
    known = state.waves.get(wave)
    return forecast_words(forecasts_of(state, known.arms)) if known is not None else ""


def tell(folder: SessionFolder, taken: IntentTaken | None, done: str, as_json: bool, **notes: str) -> None:
    """What came of an intent, for a person or a program, and by name what there is to say of it besides."""
    if taken is None:
        name = folder.name
        done = f"noted: the worker of {name} does it when it next runs (`cockpit open {name}` starts it)"
    problems = list(taken.problems) if taken else []
    if as_json:
        found = {"taken": taken is not None, "wave": taken.wave or None if taken else None, "said": done}
        print(json.dumps({**found, "problems": problems, **notes}))
        return
    print(clean(done))
    for words in filter(None, notes.values()):
        print(f"  {clean(words)}")
    for problem in problems:
        print(f"! {clean(problem)}")


def leave(folder: SessionFolder, intent: Intent) -> IntentTaken | None:
    """Leave an intent and wait for what became of it; None where no worker runs to take it.

    Raises CommandError with the worker's sentence where it was refused, or where this user may not act.
    """
    from cockpit.session import worker_process

    ledger = Ledger.read(folder.ledger)
    try:
        seq = ledger.last_seq()
        try:
            inbox = Inbox(folder.inbox)
        except (LedgerError, PermissionError):
            raise CommandError(f"you may watch session {folder.name}, not steer it: its inbox is its owner's") from None
        number = inbox.put(worker_process.user_name(), encode_intent(intent))
        inbox.close()
        if worker_process.worker_status(folder).state == "stopped":
            return None
        until = time.time() + ANSWER_WITHIN_S
        while time.time() < until:
            for event in ledger.since(seq):
                seq += 1
                if isinstance(event, IntentTaken) and event.intent == number:
                    if event.refused:
                        raise CommandError(event.refused)
                    return event
            time.sleep(0.05)
    finally:
        ledger.close()
    note = worker_process.worker_status(folder).note
    trouble = f": {note}" if note else ": see `cockpit status`"
    raise CommandError(f"the worker of {folder.name} has not answered in {ANSWER_WITHIN_S:.0f} s{trouble}")
