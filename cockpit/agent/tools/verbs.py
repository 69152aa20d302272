"""The verbs that an agent may use, as tools. The table of verbs has their names, arguments and help."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from cockpit.agent import arguments
from cockpit.agent.arguments import arguments_of
from cockpit.agent.proposer_api import ProposerApi
from cockpit.agent.tools.proposals import draft_of
from cockpit.agent.tools.reading import check_known
from cockpit.agent.tools.tool import Tool, ToolError
from cockpit.agent.views.quoting import line, plain
from cockpit.control.arguments import Argument, Given, Kind
from cockpit.control.verbs import VERBS, Verb, verb
from cockpit.core.events import Event
from cockpit.core.model import Edit, Mode
from cockpit.core.state import State
from cockpit.decide.approve import outside_envelope
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.read.forecasts import forecast_words, forecasts_of


def _propose_wave(api: ProposerApi, author: str, wave: arguments.ProposeWave) -> dict[str, Any]:
    if api.read(lambda state: state.mode) is Mode.MANUAL:
        raise ToolError("The session is in manual mode: the person proposes. Say what you would try and why.")
    scratch = _scratch(api) if wave.from_scratch else None
    draft = api.read(lambda state: draft_of(state, author, wave, scratch))
    receipt = api.propose(draft)
    if not receipt.wave:
        why = " ".join(receipt.problems) or "the session accepts no proposals now"
        raise ToolError(f"No arm was accepted: {why}")
    forecast = api.read(lambda state: _forecast(state, receipt.experiments))
    waits = {"proposed": _waits(api, receipt.wave), "approved": "It is approved and queued."}
    return {
        "wave": receipt.wave,
        "experiments": list(receipt.experiments),
        "left_out": [plain(problem) for problem in receipt.problems],
        "forecast": forecast,
        **({"design": draft.design} if draft.design else {}),
        "status": receipt.status,
        "note": waits.get(receipt.status, ""),
    }


def _scratch(api: ProposerApi) -> tuple[str, tuple[Edit, ...]]:
    try:
        return api.scratch_edits()
    except KeyError as error:
        sentence = str(error.args[0])
        raise ToolError(f"{sentence[:1].upper()}{sentence[1:]}.") from None


def _forecast(state: State, arms: Sequence[str]) -> str:
    return forecast_words(forecasts_of(state, [name for name in arms if name in state.experiments]))


def _waits(api: ProposerApi, wave: str) -> str:
    def why(state: State) -> str:
        known = state.waves.get(wave)
        return outside_envelope(state, known, api.now()) if known else ""

    reason = api.read(why)
    return f"It waits for a person: {line(reason, 300)}." if reason else "It waits for approval."


_ANSWERS: dict[str, Callable[[Given], dict[str, Any]]] = {
    "finding": lambda given: {"recorded": given["claim"]},
    "phase": lambda given: {"phase": given["phase"]},
    "knob": lambda given: {"knob": given["name"], "setting": given["setting"]},
    "say": lambda given: {"said": True},
}


def _act(row: Verb, api: ProposerApi, author: str, wanted: arguments.Arguments) -> dict[str, Any]:
    """Record the events of the verb's intent, by the decision that a person's intent gets."""
    given = {argument.name: _cleaned(argument, getattr(wanted, argument.name)) for argument in row.arguments}
    for argument in row.arguments:
        if argument.kind is Kind.NAMES:
            check_known(api, *given[argument.name])

    def decided(state: State) -> Sequence[Event]:
        now = api.now()
        return handle_intent(state, row.intent(state, given, now), author, now)

    try:
        events = api.read(decided)
    except Refused as error:
        sentence = str(error)
        raise ToolError(f"{sentence[:1].upper()}{sentence[1:]}.") from None
    if events:
        api.record(*events)
    return _ANSWERS[row.name](given)


def _cleaned(argument: Argument, given: Any) -> Any:
    """Return a text without escapes, on one line unless it is a message; any other value as it is."""
    match argument.kind:
        case Kind.WORDS:
            return plain(given)
        case Kind.TEXT:
            return line(given, argument.limit)
    return given


_PROPOSE = verb("propose")

VERB_TOOLS = (
    Tool(_PROPOSE.tool, arguments.ProposeWave, _propose_wave, reads_only=False, help=_PROPOSE.tool_help),
    *(
        Tool(row.tool, arguments_of(row), partial(_act, row), reads_only=False, help=row.tool_help)
        for row in VERBS
        if row.tool and row is not _PROPOSE
    ),
)
