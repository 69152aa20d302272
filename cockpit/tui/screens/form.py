"""The form of a proposal: question, base, factors, levels, runs and arms in one place, with what an edit changes."""

import re
from itertools import pairwise

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, VerticalScroll
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Input

from cockpit.control.draft_form import ADDED, ARMS, BASE, HYPOTHESIS, QUESTION, RUNS, FormRead, fields_of, read_form
from cockpit.control.drafts import draft_of_wave
from cockpit.core.intents import Draft, EditProposal
from cockpit.core.model import Wave
from cockpit.core.state import State
from cockpit.read.costs import run_cost_usd
from cockpit.read.wording import about_usd, count
from cockpit.tui.actions.effects import Send
from cockpit.tui.following import FollowedSession
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Row
from cockpit.tui.screens.dialogs import Writing, box_width
from cockpit.tui.widgets.arm_choice import ArmChoice
from cockpit.tui.widgets.line import LineInput
from cockpit.tui.widgets.pane import Pane

LABEL = 24
"""Cells of a field's name."""
PLACEHOLDERS = {QUESTION: "one question", HYPOTHESIS: "none", BASE: "an experiment", RUNS: "1"}
HINT = "↑↓ move between fields "
ARMS_HINT = "space drops the arm or keeps it "
NEW_FACTOR = "NAME = level, level"
DROPPED = "no level: the factor is dropped"
LEAVING = "esc again leaves, and the edits are lost"
ADDED_AT_MOST = 8
"""Factors that one edit can add."""
ROWS_AROUND = 4
"""Rows above and below the fields."""


_ARM = re.compile(r"^arm \d+ \([^)]*\): ")
"""The name of an arm with its levels, which begins the reason of a refusal."""


class FormRow(Pane):
    """A row of text in the form."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.parts: list[tuple[str, str]] = []
        """Each text and its ink."""

    def say(self, *parts: tuple[str, str]) -> None:
        self.parts = list(parts)
        self.paint()

    def rows(self, width: int, height: int) -> list[Strip]:
        ground = self.palette.box
        row = Row(width, self.palette, ground)
        for text, ink in self.parts:
            row.put(text, ink)
        return [row.strip()]


class Problem(Pane):
    """The reason why the field above cannot be read. It takes no row while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.height = 0

    def say(self, text: str, width: int) -> None:
        self.text = text
        self.height = len(wrap(text, width - LABEL - 3)) if text else 0
        self.display = bool(text)
        self.styles.height = self.height
        self.paint()

    def rows(self, width: int, height: int) -> list[Strip]:
        ground = self.palette.box
        lines = wrap(self.text, width - LABEL - 3)
        return [Row(width, self.palette, ground).to(LABEL + 2).put(line, "bad").strip() for line in lines]


class Field(Container):
    """One field: its name, its text, and below it a problem."""

    def __init__(self, name: str, text: str, placeholder: str) -> None:
        super().__init__(classes="field")
        self.key = name
        self.label = FormRow()
        self.input = LineInput(text, placeholder=placeholder, select_on_focus=False)
        self.problem = Problem()
        self.problem.display = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self.label
            yield self.input
        yield self.problem

    def on_mount(self) -> None:
        self.paint()

    def paint(self) -> None:
        focused = self.input.has_focus
        name = ADDED if self.key.startswith(ADDED) else plain(self.key)
        self.label.say(("▸ " if focused else "  ", "accent"), (name, "key" if focused else "text"))


class Ends(FormRow):
    """The buttons that leave the form."""

    SEND, LEAVE = " ⏎ send ", " esc leave "

    def rows(self, width: int, height: int) -> list[Strip]:
        ground = self.palette.box
        row = Row(width, self.palette, ground).skip().put(self.SEND, "key").skip(2).put(self.LEAVE, "key").skip(2)
        for text, ink in self.parts:
            row.put(text, ink)
        return [row.strip()]

    def on_click(self, event: events.Click) -> None:
        form = self.screen
        assert isinstance(form, ProposalForm)
        if event.x <= len(self.SEND):
            form.submit()
        elif event.x <= len(self.SEND) + 2 + len(self.LEAVE):
            form.leave()


class ProposalForm(Writing):
    """Edits a waiting proposal as a whole. Problems are beside their fields, and nothing typed is lost."""

    AUTO_FOCUS = ""

    def __init__(self, session: FollowedSession, wave: str) -> None:
        super().__init__(until_answered=True)
        state = session.state
        assert state is not None
        self.session = session
        self.wave = wave
        self.before = draft_of_wave(state, state.waves[wave])
        self._edits = len(state.waves[wave].edits)
        given = fields_of(self.before)
        runs = given.pop(RUNS)
        self.fields = [Field(name, text, PLACEHOLDERS.get(name, DROPPED)) for name, text in given.items()]
        added = [Field(f"{ADDED} {number}", "", NEW_FACTOR) for number in range(1, ADDED_AT_MOST + 1)]
        for later in added[1:]:
            later.display = False  # each is shown once the one before it is written
        self.fields += [*added, Field(RUNS, runs, PLACEHOLDERS[RUNS])]
        self.arm_choice = ArmChoice()
        self.arm_problem = Problem()
        self.arm_problem.display = False
        self.top = FormRow("form_top")
        self.cost = FormRow("form_cost")
        self.ends = Ends("form_ends")
        self._asked_to_leave = ""
        """The edits that would be lost, at the time of the question about them."""

    def compose(self) -> ComposeResult:
        with Container(id="form"):
            yield self.top
            with VerticalScroll(id="fields", can_focus=False):
                yield from self.fields
                yield self.arm_choice
                yield self.arm_problem
            yield self.cost
            yield self.ends

    def on_mount(self) -> None:
        fixed = (QUESTION, HYPOTHESIS, BASE, RUNS)
        first = next((one for one in self.fields if one.key not in fixed), self.fields[0])
        self.set_focus(first.input)
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    @property
    def read(self) -> FormRead:
        state = self.session.state
        assert state is not None
        texts = {field.key: field.input.text for field in self.fields}
        return read_form(state, self.before, texts, self.arm_choice.dropped)

    @property
    def unsent(self) -> str:
        """The unsent edits, in words."""
        read = self.read
        return ", ".join([*read.changes, *read.problems])

    def _fit(self) -> None:
        """Take the rows that the fields need, and at most the screen's."""
        width, height = box_width(self.app.size.width), self.app.size.height
        form = self.query_one("#form")
        form.styles.width = width
        self._tell()
        wanted = sum(1 + field.problem.height for field in self._shown_fields())
        wanted += len(self.arm_choice.arms) + self.arm_problem.height
        self.query_one("#fields").styles.height = max(1, min(wanted, height - ROWS_AROUND))

    def _tell(self) -> None:
        """Show the arms and the cost that the fields make now."""
        read = self.read
        name = f" edit {self.wave} "
        width = box_width(self.app.size.width)
        hint = ARMS_HINT if self.focused is self.arm_choice else HINT
        self.arm_choice.tell(read.grid)
        rule = "━" * max(0, width - width_of(name) - width_of(hint) - 3)
        self.top.say(("━━", "accent"), (name, "focus"), (rule, "accent"), (" " + hint, "dim"))
        state = self.session.state
        assert state is not None
        wave = state.waves[self.wave]
        before, now = cost_words(state, wave, self.before), cost_words(state, wave, read.draft)
        if before == now:
            self.cost.say((f"  {now}", "text"))
        else:
            self.cost.say((f"  {count(len(self.before.arms), 'arm')} → ", "dim"), (now, "accent"))

    def _problems(self, problems: dict[str, str]) -> None:
        width = box_width(self.app.size.width)
        self._shown_fields()
        for field in self.fields:
            field.problem.say(problems.get(field.key, ""), width)
        self.arm_problem.say(problems.get(ARMS, ""), width)
        self._fit()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._edited()

    def on_arm_choice_toggled(self, event: ArmChoice.Toggled) -> None:
        self._edited()

    def _edited(self) -> None:
        if self._asked_to_leave != self.unsent:
            self.ends.say()
        self._problems(self.read.problems)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        for field in self.fields:
            field.paint()
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.submit()

    def submit(self) -> None:
        """Send the edit if every field can be read."""
        read = self.read
        state = self.session.state
        assert state is not None
        if read.problems:
            self._problems(read.problems)
            self.set_focus(next((one.input for one in self.fields if one.key in read.problems), self.arm_choice))
            self.ends.say(("mend the field first", "bad"))
        elif not read.changes:
            self.ends.say(("nothing was changed", "dim"))
        elif len(state.waves[self.wave].edits) != self._edits:
            self.ends.say((f"{self.wave} was edited meanwhile: leave, and edit it again", "bad"))
        else:
            what = "; ".join(read.changes)
            intent = EditProposal(self.wave, read.draft, what)
            send = Send(intent, f"edit {self.wave}", f"{self.wave} is edited: {what}")
            self.post_message(self.Submitted(self, (send,)))

    def show_problem(self, problem: str) -> None:
        """Show the worker's refusal beside the field that it names, else beside the first that was changed."""
        self.waiting = False
        given = fields_of(self.before)
        changed = [field for field in self.fields if field.input.text.strip() != given.get(field.key, "")]
        reason = _ARM.sub("", problem)
        named = [field for field in changed if _constant(field) and _constant(field) in reason]
        field = min(named, key=lambda one: reason.index(_constant(one)), default=next(iter(changed), self.fields[0]))
        self._problems({field.key: problem})
        self.set_focus(field.input)

    def leave(self) -> None:
        """Leave; with unsent edits at the second key."""
        if self.unsent in ("", self._asked_to_leave):
            self.dismiss()
        else:
            self._asked_to_leave = self.unsent
            self.ends.say((LEAVING, "warn"))

    async def take_key(self, event: events.Key) -> bool:
        if await super().take_key(event):
            return True
        match event.key:
            case "down" | "tab":
                self._step(1)
            case "up" | "shift+tab":
                self._step(-1)
            case _ if self.focused is self.arm_choice:
                self._take_in_arms(event.key)
            case _:
                return False
        return True

    def _take_in_arms(self, key: str) -> None:
        """Answer a key while an arm is chosen."""
        match key:
            case "space" | "D" | "x" | "delete":
                self.arm_choice.toggle()
            case "enter":
                self.submit()
            case "j" | "k":
                self._step(1 if key == "j" else -1)

    def _step(self, steps: int) -> None:
        if self.focused is self.arm_choice and self.arm_choice.step(steps):
            self._show_arm()
            return
        places = [
            *(field.input for field in self._shown_fields()),
            *([self.arm_choice] if self.arm_choice.arms else []),
        ]
        at = next((number for number, place in enumerate(places) if place is self.focused), 0)
        to = places[(at + steps) % len(places)]
        if to is self.arm_choice:
            self.arm_choice.index = 0 if steps > 0 else len(self.arm_choice.arms) - 1
        self.set_focus(to)
        if to is self.arm_choice:
            self._show_arm()

    def _show_arm(self) -> None:
        """Scroll to the chosen arm."""
        above = self.arm_choice.virtual_region.y + self.arm_choice.index
        fields = self.query_one("#fields")
        fields.scroll_to_region(Region(0, above, fields.size.width, 1), animate=False)

    def _shown_fields(self) -> list[Field]:
        """Return the fields that are shown: of those for new factors, the written ones and one more."""
        for before, field in pairwise(self.fields):
            if before.key.startswith(ADDED) and field.key.startswith(ADDED):
                field.display = bool(before.input.value or field.input.value)
        return [field for field in self.fields if field.display]


def _constant(field: Field) -> str:
    """Return the constant that a field sets."""
    return field.input.text.partition("=")[0].strip() if field.key.startswith(ADDED) else field.key


def cost_words(state: State, wave: Wave, draft: Draft) -> str:
    """Return the arms, runs and dollars of a draft of this wave."""
    runs = len(draft.arms) * draft.replicates + len(wave.again) * wave.replicates
    return f"{count(len(draft.arms), 'arm')}, {count(runs, 'run')}, {about_usd(runs * run_cost_usd(state))}"
