"""Colours by role, in three themes: dark, light, and the terminal's own colours.

The hues are Okabe and Ito's, which people with any colour vision tell apart. No state is shown by hue alone. NO_COLOR
leaves weight, underline and reverse only. The grounds are nearly grey, so that a terminal of 256 colours shows each as
a different grey, and none as a blue.
"""

from functools import cached_property

import msgspec
from rich.style import Style
from textual.theme import BUILTIN_THEMES, Theme

ROLES = (
    "text",
    "dim",
    "faint",
    "title",
    "focus",
    "accent",
    "good",
    "bad",
    "warn",
    "info",
    "agent",
    "person",
    "bar",
    "track",
    "key",
    "alarm",
    "simulated",
)


class Palette(msgspec.Struct, frozen=True, dict=True):
    """The styles of a theme. `palette[role]` is a role's style; selected and marked rows have another ground."""

    name: str
    ground: str
    panel: str
    selected: str
    band: str
    roles: dict[str, str]
    classes: tuple[str, ...]
    """The foregrounds of the hardware classes, in the fleet's order."""
    added: str = ""
    """The grounds of added and removed lines; empty if the terminal has no shade for them."""
    removed: str = ""
    ansi: bool = False
    dark: bool = True

    @property
    def box(self) -> Style | None:
        """The ground of a box over the panes; none where the terminal's own colours are used."""
        return self.noise if not self.ansi else None

    @cached_property
    def styles(self) -> dict[str, Style]:
        return {role: Style.parse(spec) for role, spec in self.roles.items()}

    @cached_property
    def base(self) -> Style:
        return Style.parse(f"{self.roles['text']} on {self.ground}")

    @cached_property
    def selection(self) -> Style:
        return Style.parse(self.selected)

    @cached_property
    def noise(self) -> Style:
        """The ground of the chart's noise band."""
        return Style.parse(self.band)

    @cached_property
    def card(self) -> Style:
        """The ground of a card that waits for a person. The terminal's own colours have no shade for it."""
        return Style.null() if self.ansi else self.noise

    @cached_property
    def added_ground(self) -> Style:
        return Style.parse(self.added)

    @cached_property
    def removed_ground(self) -> Style:
        return Style.parse(self.removed)

    def __getitem__(self, role: str) -> Style:
        return self.styles[role]

    def hardware(self, index: int) -> Style:
        return Style.parse(self.classes[index % len(self.classes)])

    def textual(self) -> Theme:
        """Return the theme for Textual's own widgets."""
        prefix = "ansi_" if self.ansi else ""
        colour = {role: prefix + spec.split()[-1] for role, spec in self.roles.items()}
        return Theme(
            name=self.name,
            primary=colour["accent"],
            secondary=colour["info"],
            accent=colour["accent"],
            foreground=colour["text"],
            background=self.ground if not self.ansi else "ansi_default",
            surface=self.ground if not self.ansi else "ansi_default",
            panel=self.panel if not self.ansi else "ansi_default",
            dark=self.dark,
            ansi=self.ansi,
            variables=dict(BUILTIN_THEMES["ansi-dark"].variables) if self.ansi else {},
        )


DARK = Palette(
    name="dark",
    ground="#121416",
    panel="#1c1f23",
    selected="on #262a2f",
    band="on #1e2226",
    roles={
        "text": "#c8cdd4",
        "dim": "#959ca6",
        "faint": "#4c545e",
        "title": "#959ca6",
        "focus": "bold #56b4e9",
        "accent": "#56b4e9",
        "good": "#1fb88a",
        "bad": "#ee7733",
        "warn": "#e69f00",
        "info": "#7aa7d8",
        "agent": "#cc79a7",
        "person": "#56b4e9",
        "bar": "#56b4e9",
        "track": "#343b45",
        "key": "bold #c8cdd4",
        "alarm": "bold #121416 on #e69f00",
        "simulated": "bold #f0e442",
    },
    classes=("#56b4e9", "#e69f00", "#cc79a7", "#1fb88a", "#f0e442"),
    added="on #16261f",
    removed="on #2c1e16",
)

LIGHT = Palette(
    name="light",
    ground="#fbfaf7",
    panel="#efeeea",
    selected="on #e3e6e9",
    band="on #f0f1f2",
    roles={
        "text": "#24292f",
        "dim": "#5c636b",
        "faint": "#b4b6b4",
        "title": "#5c636b",
        "focus": "bold #0068a3",
        "accent": "#0068a3",
        "good": "#006b50",
        "bad": "#ab2e00",
        "warn": "#7a5200",
        "info": "#35628a",
        "agent": "#8f2f6b",
        "person": "#0068a3",
        "bar": "#0068a3",
        "track": "#d5d4cf",
        "key": "bold #24292f",
        "alarm": "bold #fbfaf7 on #7a5200",
        "simulated": "bold #8f2f6b",
    },
    classes=("#0068a3", "#ab2e00", "#8f2f6b", "#006b50", "#7a5200"),
    added="on #e6f3ec",
    removed="on #faeae4",
    dark=False,
)

TERMINAL = Palette(
    name="terminal",
    ground="default",
    panel="default",
    selected="reverse",
    band="underline",
    roles={
        "text": "default",
        "dim": "dim default",
        "faint": "dim default",
        "title": "dim default",
        "focus": "bold cyan",
        "accent": "cyan",
        "good": "green",
        "bad": "red",
        "warn": "yellow",
        "info": "blue",
        "agent": "magenta",
        "person": "cyan",
        "bar": "cyan",
        "track": "dim default",
        "key": "bold default",
        "alarm": "bold reverse yellow",
        "simulated": "bold yellow",
    },
    classes=("cyan", "yellow", "magenta", "green", "blue"),
    ansi=True,
)

NO_COLOUR = Palette(
    name="plain",
    ground="default",
    panel="default",
    selected="reverse",
    band="underline",
    roles={
        **dict.fromkeys(ROLES, "default"),
        "dim": "dim default",
        "faint": "dim default",
        "title": "dim default",
        "track": "dim default",
        "focus": "bold underline default",
        "bad": "bold default",
        "warn": "bold default",
        "key": "bold default",
        "alarm": "bold reverse default",
        "simulated": "bold default",
    },
    classes=("default",),
    ansi=True,
)

THEMES = {palette.name: palette for palette in (DARK, LIGHT, TERMINAL)}
