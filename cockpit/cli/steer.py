"""The commands that steer: one for each verb of `cockpit.control`, its flags made from the verb's arguments."""

import json
from argparse import Namespace

from cockpit.cli.confirm import confirm
from cockpit.cli.locate import CommandError, session, session_now, state_of
from cockpit.control.arguments import Given
from cockpit.control.costs import envelope_words
from cockpit.control.values import BadArgument
from cockpit.control.verbs import Verb
from cockpit.core.events import IntentTaken
from cockpit.core.intents import Approve, Intent
from cockpit.core.state import State
from cockpit.read.forecasts import forecast_words, forecasts_of
from cockpit.report.results import clean
from cockpit.session.client import SessionClient
from cockpit.session.paths import SessionFolder
from cockpit.session.user import user_name

ANSWER_WITHIN_S = 20.0


def steer(verb: Verb, options: Namespace) -> None:
    """Carry a verb out, asked about first where something is lost by it, and print what came of it."""
    folder = session(options.session)
    state = state_of(folder)
    now = session_now(state)
    given = _given(verb, options)
    if verb.name == "envelope" and all(value is None for value in given.values()):
        said = envelope_words(state.envelope, now)
        print(json.dumps({"said": said}) if options.json else said)
        return
    try:
        intent = verb.intent(state, given, now)
    except BadArgument as error:
        raise CommandError(str(error)) from None
    given = dict(given, attempt=getattr(intent, "attempt", None) or given.get("attempt"))
    if hasattr(options, "yes") and not verb.applies(state, given, now) and (cost := verb.cost(state, given, now)):
        confirm(cost, options.yes)
    notes = {"forecast": forecast_of_wave(state, intent.wave)} if isinstance(intent, Approve) else {}
    tell(folder, leave(folder, intent), verb.done(given), options.json, **notes)


def _given(verb: Verb, options: Namespace) -> Given:
    given = {argument.name: getattr(options, argument.name) for argument in verb.arguments}
    return {name: " ".join(value) if name == "words" else value for name, value in given.items()}


def forecast_of_wave(state: State, wave: str) -> str:
    """What the arms of a waiting wave are expected to do, in a sentence; empty for a wave that is not there."""
    known = state.waves.get(wave)
    return forecast_words(forecasts_of(state, known.arms)) if known is not None else ""


def tell(folder: SessionFolder, taken: IntentTaken | None, done: str, as_json: bool, **notes: str) -> None:
    """Print what came of an intent, for a person or a program, and notes by name."""
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
    """Leave an intent under this user's name and await that it is done; None where no worker runs to take it.

    Raises SteeringError with the worker's sentence where it was refused, or where this user may only watch.
    """
    client = SessionClient(folder, user_name())
    try:
        return client.do(intent, ANSWER_WITHIN_S)
    finally:
        client.close()
