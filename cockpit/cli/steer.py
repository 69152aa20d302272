"""Steering from the command line: a verb's intent is sent, and its result printed."""

from argparse import Namespace

from cockpit.cli.confirm import confirm
from cockpit.cli.errors import CommandError
from cockpit.cli.json_output import print_json
from cockpit.cli.locate import refuse_imported, session, session_now, state_of
from cockpit.control.arguments import Given, Kind
from cockpit.control.costs import envelope_words
from cockpit.control.values import parse_factor
from cockpit.control.verbs import Verb
from cockpit.core.events import IntentTaken
from cockpit.core.intents import Approve, Intent, Propose
from cockpit.core.model import WaveStatus
from cockpit.core.state import State
from cockpit.read.forecasts import forecast_words, forecasts_of
from cockpit.read.knobs import knob_rows, knob_table
from cockpit.report.results import clean
from cockpit.session import lock
from cockpit.session.client import SessionClient
from cockpit.session.paths import SessionFolder
from cockpit.session.user import user_name

ANSWER_WITHIN_S = 20.0


def steer(row: Verb, options: Namespace) -> None:
    """Carry a verb out, asked about first if something is lost by it, and print the result."""
    folder = session(options.session)
    state = state_of(folder)
    now = session_now(state)
    given = _given(row, options)
    if row.name == "envelope" and all(value is None for value in given.values()):
        said = envelope_words(state.envelope, now)
        if options.json:
            print_json({"said": said}, indent=None)
        else:
            print(said)
        return
    if row.name == "knob" and not given["name"]:
        rows = knob_table(state, "cockpit knob")
        if options.json:
            print_json({"knobs": [each._asdict() for each in knob_rows(state)]}, indent=None)
        else:
            print("\n".join(map(clean, rows)))
        return
    if row.name == "knob" and not given["setting"]:
        raise CommandError("give the setting too: pin, exclude, free, a range such as 0.01..0.1, or choices")
    intent = row.intent(state, given, now)
    given = dict(given, attempt=getattr(intent, "attempt", None) or given.get("attempt"))
    _refuse_what_does_not_apply(folder, row, state, given, now)
    if row.command_asks and not row.applies(state, given, now) and (cost := row.cost(state, given, now)):
        confirm(cost, options.yes)
    notes = {"forecast": forecast_of_wave(state, intent.wave)} if isinstance(intent, Approve) else {}
    print_result(folder, send_and_await(folder, intent), row.done(given, state), options.json, **notes)


def propose(row: Verb, options: Namespace) -> None:
    """Propose a wave, approve it at once with --approve, and print the result."""
    for words in getattr(options, "factors", ()):
        parse_factor(words)  # a misspelt argument is reported before a missing session
    folder = session(options.session)
    state = state_of(folder)
    intent = row.intent(state, _given(row, options), session_now(state))
    assert isinstance(intent, Propose)
    taken = send_and_await(folder, intent)
    wave = taken.wave if taken else ""
    if wave and options.approve and state_of(folder).waves[wave].status is WaveStatus.PROPOSED:
        send_and_await(folder, Approve(wave))
    done = f"{wave} is approved" if options.approve else f"proposed as {wave}"
    forecast = forecast_of_wave(state_of(folder), wave)
    print_result(folder, taken, done, options.json, design=intent.draft.design, forecast=forecast)


def _given(row: Verb, options: Namespace) -> Given:
    given: dict[str, object] = {argument.name: getattr(options, argument.name) for argument in row.arguments}
    for argument in row.arguments:
        if argument.kind is Kind.WORDS:
            given[argument.name] = " ".join(getattr(options, argument.name))
    return given


def _refuse_what_does_not_apply(folder: SessionFolder, row: Verb, state: State, given: Given, now: float) -> None:
    """Raise CommandError where no worker runs to refuse. An intent that waits in the inbox may change what applies."""
    if lock.worker_status(folder).state != "stopped":
        return
    client = SessionClient(folder, user_name())
    try:
        waits = client.waits_after(state.intent)
    finally:
        client.close()
    if not waits and (why_not := row.applies(state, given, now)):
        raise CommandError(why_not)


def forecast_of_wave(state: State, wave: str) -> str:
    """Return the forecast of a waiting wave's arms in a sentence; empty for an unknown wave."""
    known = state.waves.get(wave)
    return forecast_words(forecasts_of(state, known.arms)) if known is not None else ""


def print_result(folder: SessionFolder, taken: IntentTaken | None, done: str, as_json: bool, **notes: str) -> None:
    """Print the result of an intent, for a person or a program, and notes by name."""
    if taken is None:
        name = folder.name
        done = f"queued: the worker of {name} is not running; `cockpit start {name}` starts it"
    problems = list(taken.problems) if taken else []
    if as_json:
        found = {"taken": taken is not None, "wave": taken.wave or None if taken else None, "said": done}
        print_json({**found, "problems": problems, **notes}, indent=None)
        return
    print(clean(done))
    for words in filter(None, notes.values()):
        print(f"  {clean(words)}")
    for problem in problems:
        print(f"! {clean(problem)}")


def send_and_await(folder: SessionFolder, intent: Intent) -> IntentTaken | None:
    """Send an intent under this user's name and await its result; None if no worker runs to take it.

    Raises SteeringError with the worker's sentence where it was refused, or where this user may only watch.
    """
    refuse_imported(folder)
    client = SessionClient(folder, user_name())
    try:
        return client.do(intent, ANSWER_WITHIN_S)
    finally:
        client.close()
