"""The table of verbs. A new verb is one row here and one decision in `cockpit.decide.intents`."""

from collections.abc import Callable

import msgspec

from cockpit.control import costs
from cockpit.control.arguments import Argument, Given, Kind, text_of
from cockpit.control.values import BadArgument, parse_knob
from cockpit.core.intents import (
    ARMS_AT_MOST,
    Adopt,
    AnyIntent,
    Approve,
    CancelWave,
    Discard,
    DropArm,
    EditProposal,
    End,
    Hold,
    HostAgent,
    Interrupt,
    Kill,
    MakeBase,
    MoveWave,
    Note,
    Permit,
    Promote,
    Propose,
    Reject,
    Relaunch,
    Rerun,
    Resume,
    Say,
    SetBudget,
    SetEarlyStopping,
    SetEnvelope,
    SetKnob,
    SetMode,
    SetProposer,
    TakeTask,
)
from cockpit.core.model import EndMode, Mode
from cockpit.core.state import State, open_permissions
from cockpit.read.listeners import listener_words

MakeIntent = Callable[[State, Given, float], AnyIntent]
Cost = Callable[[State, Given, float], str]


class Verb(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    help: str
    intent: MakeIntent
    done_words: str
    """The sentence for when it is done; `{wave}` stands for the argument of that name."""
    arguments: tuple[Argument, ...] = ()
    cost: Cost = lambda state, given, now: ""
    """The question to ask first; empty if it costs nothing."""
    command_asks: bool = False
    """True if the command line asks its question. A verb that only spends was already asked for by name there."""
    is_heard: bool = False
    """True if its words are for the proposer."""
    is_command: bool = True
    """False for a verb that the command line has under other names."""
    tool: str = ""
    """The name of the tool by which an agent uses the verb; empty if agents may not."""
    tool_help: str = ""
    """The description of the tool, for an agent."""

    def applies(self, state: State, given: Given, now: float = 0.0) -> str:
        """Return why the verb does not apply, in one sentence, by the worker's own rule; empty if it applies."""
        # Imported here: the command line reads this table for its flags and must not load every decision for that.
        from cockpit.decide.handle_intents import handle_intent
        from cockpit.decide.intents.request import Refused

        try:
            intent = self.intent(state, given, now)
            if not isinstance(intent, Propose | EditProposal):  # the worker checks a draft when it stores the code
                handle_intent(state, intent, "", now)
        except (BadArgument, Refused) as error:
            return str(error)
        return ""

    def argument(self, name: str) -> Argument:
        """Return the argument of that name. Raises KeyError."""
        return {argument.name: argument for argument in self.arguments}[name]

    def done(self, given: Given, state: State) -> str:
        """Return the sentence for when it is done."""
        names = {argument.name: text_of(given, argument.name) for argument in self.arguments}
        if "target" in names:
            names["target"] = names["target"] or "the session"
        said = self.done_words.format(**names)
        return f"{said}: {listener_words(state)}" if self.is_heard else said


def verb(name: str) -> Verb:
    """Return the row of that name. Raises KeyError."""
    return _BY_NAME[name]


def running_attempt(state: State, name: str) -> str:
    """Return the attempt that `name` means: `e0042.1` itself, or the one running attempt of `e0042`. Raises
    BadArgument."""
    experiment = state.experiments.get(name)
    if experiment is None:
        return name
    running = [attempt for attempt in experiment.attempts if attempt in state.in_flight]
    if len(running) > 1:
        raise BadArgument(f"{name} runs {len(running)} times: name one of {', '.join(running)}")
    if not running:
        raise BadArgument(f"{name} is not running")
    return running[0]


def _kill(state: State, given: Given, now: float) -> Kill:
    return Kill(running_attempt(state, text_of(given, "attempt")), text_of(given, "reason"))


def _envelope(state: State, given: Given, now: float) -> SetEnvelope:
    names = ("usd", "gpu_hours", "wave_size", "patches", "filler", "worth_usd")
    changes = {name: given[name] for name in names if given.get(name) is not None}
    hours = given.get("hours")
    if hours is not None:
        changes["until"] = now + hours * 3600 if hours else 0.0
    if not changes:
        raise BadArgument("name at least one limit: usd, gpu_hours, wave_size, hours, patches, filler or worth_usd")
    return SetEnvelope(msgspec.structs.replace(state.envelope, **changes))


def _mode(state: State, given: Given, now: float) -> SetMode:
    name = text_of(given, "mode")
    if name not in list(Mode):
        raise BadArgument(f"there is no mode {name!r}: choose {', '.join(Mode)}")
    return SetMode(Mode(name))


def _early(state: State, given: Given, now: float) -> SetEarlyStopping:
    switch = text_of(given, "switch")
    if switch not in ("on", "off"):
        raise BadArgument(f"{switch!r} is invalid: expected on or off")
    return SetEarlyStopping(switch == "on")


def _knob(state: State, given: Given, now: float) -> SetKnob:
    return SetKnob(text_of(given, "name"), parse_knob(text_of(given, "setting")))


def permission_named(state: State, name: str) -> str:
    """Return the request that is named, or the only one that waits. Raises BadArgument."""
    waiting = open_permissions(state)
    if name or len(waiting) == 1:
        return name or next(iter(waiting))
    if not waiting:
        raise BadArgument("no agent waits for a permission")
    raise BadArgument(f"{len(waiting)} requests wait: name one of {', '.join(waiting)}")


def _permit(state: State, given: Given, now: float) -> Permit:
    answer = text_of(given, "answer")
    if answer not in PERMIT_ANSWERS:
        raise BadArgument(f"{answer!r} is invalid: expected {' or '.join(PERMIT_ANSWERS)}")
    return Permit(permission_named(state, text_of(given, "request")), answer == "allow")


def _propose(state: State, given: Given, now: float) -> Propose:
    from cockpit.control.drafts import draft_of_factors  # imported here for the same reason as in `Verb.applies`

    draft = draft_of_factors(
        given["factors"],
        question=text_of(given, "question"),
        base=text_of(given, "base"),
        replicates=given.get("replicates") or 1,
        validate=bool(given.get("validate")),
        arms_at_most=given.get("arms") or ARMS_AT_MOST,
    )
    return Propose(draft)


def _ablate(state: State, given: Given, now: float) -> Propose:
    from cockpit.decide.ablation import ablations  # imported here for the same reason as in `Verb.applies`

    draft = ablations(state)
    if draft is None:
        raise BadArgument("no kept change is left to drop: a single one was measured against the baseline already")
    return Propose(draft)


def _rebase(state: State, given: Given, now: float) -> EditProposal:
    from cockpit.control.drafts import on_incumbent  # imported here for the same reason as in `Verb.applies`

    name = text_of(given, "wave")
    if name not in state.proposals:
        raise BadArgument(f"{name} does not wait for approval: only a proposal can change its base")
    wave = state.waves[name]
    return EditProposal(name, on_incumbent(state, wave), f"base {wave.base} -> {state.incumbent}")


def _end(state: State, given: Given, now: float) -> End:
    return End(EndMode(text_of(given, "how")), bool(given.get("down")))


PERMIT_ANSWERS = ("allow", "refuse")

_PROPOSE_HELP = (
    'Propose experiments that answer one question together. For a full grid give `factors` only: {"WIDTH": [640,'
    ' 768], "MATRIX_LR": [0.03, 0.04, 0.05]} is six arms, each setting its constants. If a grid has too many cells,'
    " a fraction of it is run; the answer names the fraction and the effects that it confounds. `edits` are then"
    " applied to every arm, for instance to add the constant that a factor sets. For single variants or a fraction"
    " of your own give `arms`. With 16 clusters design 10 to 16 arms, on tier `screen`. Promote the two or three"
    " best to `validate` with arms that `measure_again`. Ask for 2 to 4 replicates of results within the noise."
    " Measured code runs again only by `measure_again`. The answer names the wave, its experiments, and the arms"
    " that were left out with the reasons. A proposal may wait for a person."
)

_WAVE = Argument("wave", Kind.WAVE, required=True)
_EXPERIMENT = Argument("experiment", Kind.EXPERIMENT, required=True)
_CLUSTER = Argument("cluster", Kind.CLUSTER, required=True)
_TARGET = Argument("target", Kind.TARGET, "a wave or a cluster (default: the session)")
_REASON = Argument("reason", Kind.TEXT, "stored in the ledger; a proposer that is a model reads it")

VERBS: tuple[Verb, ...] = (
    Verb(
        "propose", "propose a wave: NAME=LEVEL,LEVEL for each factor", _propose,
        "proposed: the waves pane has it",
        (
            Argument("factors", Kind.FACTORS, "each constant to set, with the levels to try", required=True, limit=6),
            Argument("question", Kind.TEXT, "one question, as you would ask it to a colleague", option=True, limit=600),
            Argument("base", Kind.EXPERIMENT, "the experiment to build on (default: the incumbent)", option=True),
            Argument("replicates", Kind.COUNT, "runs of each arm, each with its own seed (default: 1)", option=True),
            Argument("arms", Kind.COUNT, "at most N arms: a fraction of a larger grid", option=True),
            Argument("validate", Kind.FLAG, "run it on the better class", option=True),
        ),
        tool="propose_wave", tool_help=_PROPOSE_HELP,
    ),
    Verb(
        "ablate", "propose to drop each kept change once, to test if it still helps", _ablate,
        "the ablation of the kept changes is proposed",
    ),
    Verb(
        "approve", "approve a waiting wave: its arms are queued",
        lambda state, given, now: Approve(text_of(given, "wave"), bool(given.get("trust"))),
        "{wave} is approved",
        (_WAVE, Argument("trust", Kind.FLAG, "also let the envelope approve this proposer's later waves", option=True)),
        costs.approve,
    ),
    Verb(
        "reject", "reject a waiting wave",
        lambda state, given, now: Reject(text_of(given, "wave"), text_of(given, "reason")),
        "{wave} is rejected", (_WAVE, _REASON),
    ),
    Verb(
        "rebase", "put a waiting wave on the incumbent", _rebase, "{wave} is on the incumbent", (_WAVE,),
    ),
    Verb(
        "cancel", "cancel a wave: its queued runs do not start",
        lambda state, given, now: CancelWave(text_of(given, "wave"), text_of(given, "reason")),
        "{wave} is cancelled", (_WAVE, _REASON), costs.cancel, command_asks=True,
    ),
    Verb(
        "move", "run a wave sooner or later",
        lambda state, given, now: MoveWave(text_of(given, "wave"), text_of(given, "before")),
        "{wave} is moved",
        (_WAVE, Argument("before", Kind.WAVE, "the wave to run it before (default: last)", option=True)),
    ),
    Verb(
        "drop", "drop an arm: it will not be measured",
        lambda state, given, now: DropArm(text_of(given, "experiment"), text_of(given, "reason")),
        "{experiment} is dropped", (_EXPERIMENT, _REASON), costs.drop, command_asks=True,
    ),
    Verb(
        "hold", "start nothing new in the session, a wave or a cluster",
        lambda state, given, now: Hold(text_of(given, "target")),
        "{target} is held: runs in flight finish, nothing new starts", (_TARGET,),
    ),
    Verb(
        "resume", "start work again after a hold",
        lambda state, given, now: Resume(text_of(given, "target")),
        "{target} is resumed", (_TARGET,),
    ),
    Verb(
        "rerun", "measure an experiment again, with another seed",
        lambda state, given, now: Rerun(text_of(given, "experiment"), text_of(given, "hardware")),
        "{experiment} is measured again",
        (_EXPERIMENT, Argument("hardware", Kind.TEXT, "a class, such as H100 (default: any)", option=True)),
        costs.rerun,
    ),
    Verb(
        "promote", "run an experiment on the better class",
        lambda state, given, now: Promote(text_of(given, "experiment")),
        "{experiment} is promoted", (_EXPERIMENT,), costs.promote,
    ),
    Verb(
        "base", "make an experiment the incumbent without a test",
        lambda state, given, now: MakeBase(text_of(given, "experiment"), text_of(given, "reason")),
        "{experiment} is the base", (_EXPERIMENT, _REASON), costs.base, command_asks=True,
    ),
    Verb(
        "discard", "discard an experiment without a test",
        lambda state, given, now: Discard(text_of(given, "experiment"), text_of(given, "reason")),
        "{experiment} is discarded", (_EXPERIMENT, _REASON),
    ),
    Verb(
        "kill", "end a running attempt without a result", _kill, "{attempt} is being ended",
        (Argument("attempt", Kind.ATTEMPT, "an attempt, or an experiment with one run", required=True), _REASON),
        costs.kill, command_asks=True,
    ),
    Verb(
        "relaunch", "relaunch a cluster that is down, lost, given up or waits for its cloud",
        lambda state, given, now: Relaunch(text_of(given, "cluster")),
        "{cluster} is launched again", (_CLUSTER,), costs.relaunch,
    ),
    Verb(
        "task", "use experiment.yaml as it is now; results from then on are told apart",
        lambda state, given, now: TakeTask(), "runs use the changed experiment.yaml", (), command_asks=True,
    ),
    Verb(
        "mode", "choose who decides", _mode, "the mode is {mode}",
        (Argument("mode", Kind.CHOICE, required=True, choices=tuple(str(mode) for mode in Mode)),), costs.mode,
        command_asks=True,
    ),
    Verb(
        "proposer", "choose who proposes from now on",
        lambda state, given, now: SetProposer(text_of(given, "name"), bool(given.get("outside"))),
        "{name} proposes from now on",
        (
            Argument("name", Kind.TEXT, "claude, hybrid, search, tpe, grid, or an outside agent's name", required=True),
            Argument("outside", Kind.FLAG, "it is an agent that connects by `cockpit mcp`", option=True),
        ),
    ),
    Verb(
        "agent", "start an agent by ACP, which proposes from now on",
        lambda state, given, now: HostAgent(text_of(given, "agent"), bool(given.get("beside"))),
        "{agent} is started when it is next asked",
        (
            Argument("beside", Kind.FLAG, "it proposes beside the others, NAME=2 with twice their share", option=True),
            Argument(
                "agent", Kind.WORDS, "claude-code, codex, gemini, opencode, or a command that speaks ACP",
                required=True, limit=1_000,
            ),
        ),
    ),
    Verb(
        "budget", "cap the session's dollars, GPU and API together",
        lambda state, given, now: SetBudget(float(given["usd"])),
        "the budget is ${usd}",
        (Argument("usd", Kind.AMOUNT, "0 for no cap", required=True),),
    ),
    Verb(
        "early", "switch early stopping of runs that cannot reach the incumbent on or off", _early,
        "early stopping is {switch}",
        (Argument("switch", Kind.CHOICE, required=True, choices=("on", "off")),),
    ),
    Verb(
        "knob", "pin, exclude or free a knob, or set its range or choices; without words, list the knobs", _knob,
        "{name} is set: {setting}",
        (
            Argument("name", Kind.TEXT, "the constant, by the name in the list", limit=120),
            Argument(
                "setting", Kind.TEXT,
                "pin (no proposal changes it), exclude (search leaves it alone), free, a range such as 0.01..0.1, or"
                " choices such as relu,gelu",
                limit=400,
            ),
        ),
        tool="set_knob",
        tool_help="Set how search may vary a constant, e.g. leave out one without effect, or narrow its range.",
    ),
    Verb(
        "envelope", "set the limits of autopilot; without options, show them", _envelope,
        "the envelope is changed",
        (
            Argument("usd", Kind.AMOUNT, "dollars, GPU and API together", option=True),
            Argument("gpu_hours", Kind.AMOUNT, "GPU-hours", option=True),
            Argument("wave_size", Kind.COUNT, "arms of one wave", option=True),
            Argument("hours", Kind.AMOUNT, "hours from now until it ends; 0 for no end", option=True),
            Argument("patches", Kind.SWITCH, "edits of code too, not constants only", option=True),
            Argument("filler", Kind.SWITCH, "new arms on idle clusters; no: controls and tests only", option=True),
            Argument("worth_usd", Kind.AMOUNT, "dollars a gain of 0.001 is worth; 0 for not said", option=True),
        ),
    ),
    Verb(
        "say", "send a message to the proposer",
        lambda state, given, now: Say(text_of(given, "text")), "sent",
        (Argument("text", Kind.WORDS, "the message", required=True, limit=4_000),),
        tool="say",
        tool_help="Send the person a message: an answer, a plan, a warning. Keep it short and concrete.",
        is_heard=True,
    ),
    Verb(
        "permit", "allow or refuse what a hosted agent asks to do, this once", _permit, "answered: {answer}",
        (
            Argument("answer", Kind.CHOICE, required=True, choices=PERMIT_ANSWERS),
            Argument("request", Kind.TEXT, "the request, such as p3.1 (default: the only one that waits)"),
        ),
        costs.permit, command_asks=True,
    ),
    Verb("interrupt", "end the proposer's turn", lambda state, given, now: Interrupt(), "the proposer's turn is ended"),
    Verb(
        "finding", "record a conclusion",
        lambda state, given, now: Note(text_of(given, "claim"), tuple(dict.fromkeys(given.get("experiments") or ()))),
        "recorded",
        (
            Argument("claim", Kind.TEXT, "the conclusion, one sentence", required=True, limit=600),
            Argument("experiments", Kind.NAMES, "the experiments that support it", limit=64),
        ),
        tool="record_finding",
        tool_help="Record a conclusion with the experiments that support it. It is kept in your briefing and in the"
        " report.",
    ),
    Verb(
        "phase", "name the phase of the research that begins now",
        lambda state, given, now: Note(text_of(given, "phase"), phase=True), "the phase is {phase}",
        (Argument("phase", Kind.TEXT, "such as 'width at fixed depth'", required=True, limit=120),),
        tool="set_phase", tool_help="Set the phase of the research that begins now, e.g. 'width at fixed depth'.",
    ),
    Verb(
        "adopt", "take over a cluster that was launched by hand with `sky launch`",
        lambda state, given, now: Adopt(text_of(given, "cluster")), "{cluster} is taken over", (_CLUSTER,),
        is_command=False,
    ),
    Verb(
        "end", "end the session", _end, "the session is ending",
        (
            Argument("how", Kind.CHOICE, required=True, choices=tuple(str(how) for how in EndMode)),
            Argument("down", Kind.FLAG, "take its clusters down too", option=True),
        ),
        costs.end, command_asks=True, is_command=False,
    ),
)  # fmt: skip

_BY_NAME = {row.name: row for row in VERBS}
