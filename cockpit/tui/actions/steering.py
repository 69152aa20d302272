"""The actions that steer. Each is a verb of `cockpit.control` with keys, places and a position in the footer."""

from collections.abc import Mapping
from functools import partial

import msgspec

from cockpit.control.costs import end_words, envelope_words
from cockpit.control.values import BadArgument
from cockpit.control.verbs import VERBS, Verb, verb
from cockpit.core.model import EndMode, Mode
from cockpit.core.state import State
from cockpit.read.early_stops import early_stopping_summary
from cockpit.read.listeners import listener_words
from cockpit.read.plateau import plateau_question
from cockpit.tui.actions import pages
from cockpit.tui.actions.effects import (
    AskLine,
    Choose,
    Confirm,
    Effects,
    FocusSay,
    Note,
    OpenEditor,
    OpenKnobs,
    Problem,
    Send,
)
from cockpit.tui.actions.registry import Action, Here, Question, Run
from cockpit.tui.actions.subjects import (
    ATTEMPT,
    CLUSTER,
    EXPERIMENT,
    HOLDABLE,
    NONE,
    PERMISSION,
    PROPOSAL,
    STALE,
    WAVE,
    Subject,
    no_proposal,
    over,
    winds_down,
)
from cockpit.tui.actions.words import given_by, usage_of
from cockpit.tui.views.queue import FILLER, queued

WAVES = frozenset({"waves"})
PLATEAU = "plateau"
"""The action that asks what becomes of a session on a plateau."""
EXPERIMENT_PLACES = frozenset({"clusters", "chart", "experiment", "log", "results", "stack"})


def effects_of_verb(
    row: Verb,
    here: Here,
    words: str,
    subject: Subject = NONE,
    fixed: Mapping[str, object] | None = None,
    label: str = "",
) -> Effects:
    """Return the effects of a verb: its intent, after a question if it costs something. Raises Problem."""
    try:
        given = {**given_by(row, words, subject.of(here)), **(fixed or {})}
        intent = row.intent(here.state, given, here.now)
    except BadArgument as error:
        raise Problem(str(error)) from error
    if why_not := row.applies(here.state, given, here.now):
        raise Problem(why_not)
    about = next((str(given[argument.name]) for argument in row.arguments if argument.name in given), "")
    effects: Effects = (Send(intent, f"{row.name} {about}".strip(), row.done(given, here.state)),)
    question = row.cost(here.state, given, here.now)
    return (Confirm(question, label or row.name, effects),) if question else effects


def _action(
    name: str,
    label: str = "",
    subject: Subject = NONE,
    *,
    run: Run | None = None,
    applies: Question | None = None,
    keys: tuple[str, ...] = (),
    places: frozenset[str] = frozenset(),
    footer: int = 0,
    group: str = "general",
) -> Action:
    """Return the action of a verb. `subject` is its first argument if no word gives it."""
    row = verb(name)

    def applies_to_subject(here: Here) -> str:
        if subject is NONE:
            return ""
        selected = subject.of(here)
        return row.applies(here.state, {row.arguments[0].name: selected}, here.now) if selected else subject.missing

    return Action(
        name,
        label or name,
        f"{row.help[:1].upper()}{row.help[1:]}",
        run=run or (lambda here, words: effects_of_verb(row, here, words, subject, label=label)),
        keys=keys,
        places=places,
        acting=True,
        takes=usage_of(row),
        applies=applies or applies_to_subject,
        footer=footer,
        group=group,
    )


# Verbs that ask for an argument


def _reject(here: Here, words: str) -> Effects:
    row = verb("reject")
    wave = words.strip() or PROPOSAL.of(here)
    if " " in wave:
        return effects_of_verb(row, here, words)
    question = f"Reject {wave}: why? The ledger keeps the reason; {listener_words(here.state)}."
    return (AskLine(question, lambda reason: effects_of_verb(row, here, f"{wave} {reason}")),)


_MODE_HELP = {
    Mode.MANUAL: "you propose and approve",
    Mode.COPILOT: "the agent proposes, you approve",
    Mode.AUTOPILOT: "the agent runs within the envelope",
}
_COPILOT_WITH_FILLER = f"{_MODE_HELP[Mode.COPILOT]}; idle clusters run filler unasked"


def _mode(here: Here, words: str) -> Effects:
    row = verb("mode")
    if words:
        return effects_of_verb(row, here, words)
    help_of = _MODE_HELP | ({Mode.COPILOT: _COPILOT_WITH_FILLER} if here.state.envelope.filler else {})
    choices = tuple((str(mode), f"{mode}: {said}") for mode, said in help_of.items())
    return (Choose("Who decides?", choices, here.state.mode, lambda name: effects_of_verb(row, here, name)),)


def _envelope(here: Here, words: str) -> Effects:
    if words:
        return effects_of_verb(verb("envelope"), here, words)
    return (Note(envelope_words(here.state.envelope, here.now)),)


def _early(here: Here, words: str) -> Effects:
    summary = early_stopping_summary(here.state.early_stops)
    if words or not summary:
        return effects_of_verb(verb("early"), here, words)
    return (Note(summary),)


def _knob(here: Here, words: str) -> Effects:
    if words:
        return effects_of_verb(verb("knob"), here, words)
    return (OpenKnobs(),)


def _say(here: Here, words: str) -> Effects:
    if not words:
        return (FocusSay(),)
    row, given = verb("say"), {"text": words}
    return (Send(row.intent(here.state, given, here.now), "say", row.done(given, here.state)),)


# Verbs whose arguments depend on the place


def _hold_or_resume(here: Here, target: str) -> Effects:
    state = here.state
    if target == FILLER:
        return effects_of_verb(verb("envelope"), here, f"filler={'no' if state.envelope.filler else 'yes'}")
    return effects_of_verb(verb("resume" if _is_held(state, target) else "hold"), here, target)


def _is_held(state: State, target: str) -> bool:
    """Return True if a wave, a cluster, the filler or, with an empty name, the session is held."""
    if target == FILLER:
        return not state.envelope.filler
    known = (state.waves.get(target), state.clusters.get(target))
    return any(one.held for one in known if one is not None) if target else state.held


def _move_wave(here: Here, steps: int) -> Effects:
    queue = queued(here.state)
    others = [name for name in queue if name != here.wave]
    to = max(0, min(len(others), queue.index(here.wave) + steps))
    before = others[to] if to < len(others) else ""
    return effects_of_verb(verb("move"), here, here.wave, fixed={"before": before})


def _not_movable(here: Here) -> str:
    return "" if here.wave in queued(here.state) else "no queued wave is selected"


def _drop(here: Here, words: str) -> Effects:
    row = verb("drop")
    if words or here.place != "review" or here.wave not in here.state.proposals:
        return effects_of_verb(row, here, words, EXPERIMENT, label="drop arm")
    question = row.cost(here.state, {"experiment": here.experiment}, here.now)
    return (Confirm(question, "drop arm", pages.drop_arm(here)),)


def _answer(answer: str, here: Here, words: str) -> Effects:
    request = words.strip() or PERMISSION.of(here)
    return effects_of_verb(verb("permit"), here, f"{answer} {request}", label=answer)


def _no_permission(here: Here) -> str:
    return "" if PERMISSION.of(here) else PERMISSION.missing


def _idle(here: Here) -> str:
    return "" if here.state.asks else "no proposer is at work"


def _not_ablatable(here: Here) -> str:
    return verb("ablate").applies(here.state, {}, here.now)


_WAYS_TO_END = {f"{how} down" if down else str(how): (how, down) for how in EndMode for down in (False, True)}


def _end(here: Here, words: str) -> Effects:
    if words:
        return effects_of_verb(verb("end"), here, words, label="end session")
    return (_ask_how_to_end(here, "End the session? Queued work stays in the ledger.", "Cancel"),)


def _plateau(here: Here, words: str) -> Effects:
    found = plateau_question(here.state, here.now)
    return (_ask_how_to_end(here, f"{found[:1].upper()}{found[1:]}. End the session?", "Cancel: it continues"),)


def _no_plateau(here: Here) -> str:
    return "" if plateau_question(here.state, here.now) else "no plateau waits for an answer"


def _ask_how_to_end(here: Here, question: str, cancel: str) -> Choose:
    """Return the question with each way to end the session. Cancel is focused."""
    row = verb("end")
    ways = {name: end_words(here.state, *way, here.now) for name, way in _WAYS_TO_END.items()}
    choices = tuple((name, f"{name}: {said}") for name, said in ways.items())

    def end(name: str) -> Effects:
        given = dict(zip(("how", "down"), _WAYS_TO_END[name], strict=True))
        return (Send(row.intent(here.state, given, here.now), "end the session", row.done(given, here.state)),)

    return Choose(question, (("", cancel), *choices), "", end)


_KEYED: tuple[Action, ...] = (
    _action("approve", subject=PROPOSAL, keys=("a",), footer=1, group="proposals"),
    Action("trust", "trust", "Approve it, and let the envelope approve this proposer's later waves",
           run=lambda here, words: effects_of_verb(verb("approve"), here, words, PROPOSAL, {"trust": True}),
           keys=("A",), acting=True, takes="[WAVE]", applies=no_proposal, footer=2, group="proposals"),
    _action("reject", subject=PROPOSAL, run=_reject, keys=("r",), footer=2, group="proposals"),
    _action("rebase", subject=STALE, keys=("b",), places=frozenset({"waves", "review"}), footer=3, group="proposals"),
    Action("hold-this", "hold", "Hold or resume the selected wave or cluster; of the filler, its new arms",
           run=lambda here, words: _hold_or_resume(here, HOLDABLE.of(here)), keys=("space",),
           places=frozenset({"waves", "clusters", "review"}), acting=True,
           applies=lambda here: "" if HOLDABLE.of(here) else HOLDABLE.missing,
           label_here=lambda here: "resume" if _is_held(here.state, HOLDABLE.of(here)) else "", footer=6,
           group="waves"),
    Action("hold-all", "hold all", "Hold or resume the whole session",
           run=lambda here, words: _hold_or_resume(here, ""), keys=("H",), acting=True,
           label_here=lambda here: "resume all" if here.state.held else "", footer=14),
    _action("mode", run=_mode, keys=("m",), footer=13),
    _action("cancel", "cancel wave", WAVE, keys=("x",), places=WAVES, footer=8, group="waves"),
    Action("wave-up", "sooner", "Run the selected wave sooner", run=lambda here, words: _move_wave(here, -1),
           keys=("K", "shift+up"), places=WAVES, acting=True, applies=_not_movable, footer=9, group="waves"),
    Action("wave-down", "later", "Run the selected wave later", run=lambda here, words: _move_wave(here, 1),
           keys=("J", "shift+down"), places=WAVES, acting=True, applies=_not_movable, footer=10, group="waves"),
    _action("kill", subject=ATTEMPT, keys=("x",), places=EXPERIMENT_PLACES, footer=8, group="experiments"),
    _action("rerun", subject=EXPERIMENT, keys=("R",), places=EXPERIMENT_PLACES, footer=9, group="experiments"),
    _action("promote", subject=EXPERIMENT, keys=("P",), places=EXPERIMENT_PLACES, footer=10, group="experiments"),
    _action("base", "make base", EXPERIMENT, keys=("B",), places=EXPERIMENT_PLACES, footer=11, group="experiments"),
    _action("drop", "drop arm", EXPERIMENT, run=_drop, keys=("D",), places=EXPERIMENT_PLACES | {"review"}, footer=12,
            group="experiments"),
    _action("relaunch", subject=CLUSTER, keys=("u",), places=frozenset({"clusters"}), footer=7, group="clusters"),
    _action("say", run=_say, keys=("i",), footer=12),
    Action("write", "several lines", "Write a message of several lines", (OpenEditor(),), keys=("ctrl+o",),
           acting=True),
    Action("allow", "allow once", "Allow what a hosted agent asks to do, this once",
           run=partial(_answer, "allow"), keys=("y",), places=frozenset({"talk"}), acting=True, takes="[REQUEST]",
           applies=_no_permission, footer=1, group="proposals"),
    Action("refuse", "refuse", "Refuse what a hosted agent asks to do",
           run=partial(_answer, "refuse"), keys=("n",), places=frozenset({"talk"}), acting=True, takes="[REQUEST]",
           applies=_no_permission, footer=1, group="proposals"),
    _action("interrupt", applies=_idle, keys=("escape",), places=frozenset({"talk"}), footer=4),
    _action("envelope", run=_envelope),
    _action("early", run=_early),
    _action("knob", run=_knob),
    _action("ablate", applies=_not_ablatable),
    _action("end", "end session", run=_end, keys=("E",)),
    Action(PLATEAU, PLATEAU, "Decide on a plateau if the session continues: the next hour costs more than it gains",
           run=_plateau, acting=True, applies=_no_plateau),
)  # fmt: skip

_SETTINGS = frozenset({"mode", "envelope", "early", "knob", "budget", "proposer", "agent"})
"""Actions that also apply to a session that has ended: its next worker reads them."""
_UNTIL_THE_END = frozenset(
    {"kill", "drop", "base", "discard", "finding", "phase", "task", "permit", "allow", "refuse", "interrupt", "end"}
)
"""Actions that still apply while a session ends."""


def _while_it_lasts(action: Action) -> Action:
    """Return the action, limited to sessions that can still carry it out."""
    if action.name in _SETTINGS:
        return action
    last = over if action.name in _UNTIL_THE_END else winds_down
    return msgspec.structs.replace(action, applies=lambda here: last(here) or action.applies(here))


STEERING: tuple[Action, ...] = tuple(
    _while_it_lasts(action)
    for action in (
        *_KEYED,
        *(_action(row.name) for row in VERBS if row.name not in {action.name for action in _KEYED}),
    )
)
"""The actions with keys of their own, and each other verb as a command."""
