"""The groups of commands in `cockpit --help`: each with the commands in it and an example."""

from collections.abc import Mapping

import msgspec

NAME_WIDTH = 13


class Group(msgspec.Struct, frozen=True):
    """One group. A command is in exactly one."""

    title: str
    commands: tuple[str, ...]
    example: str


GROUPS = (
    Group(
        "start",
        ("open", "new", "start", "init", "list", "demo", "import", "doctor", "completion"),
        "cockpit new night --mode autopilot --hours 8",
    ),
    Group(
        "look",
        (
            "status", "watch", "results", "report", "export", "mirror", "finish", "log", "diff", "replay", "verify",
            "repair", "audit", "redteam",
        ),
        "cockpit log e0042 -f",
    ),
    Group(
        "steer",
        (
            "propose", "ablate", "hold", "resume", "move", "rerun", "promote", "kill", "early", "knob", "say",
            "interrupt", "finding", "phase", "stop",
        ),
        "cockpit propose DEPTH=6,8 MATRIX_LR=0.03,0.05",
    ),
    Group(
        "decide",
        ("approve", "reject", "rebase", "cancel", "drop", "base", "discard", "mode", "envelope", "budget", "permit"),
        "cockpit approve w007",
    ),
    Group("fleet", ("adopt", "relaunch", "task", "down"), "cockpit relaunch gpu-03"),
    Group(
        "agents",
        ("agent", "proposer", "agent-setup", "guide", "wait", "tool", "mcp", "transcript"),
        "cockpit agent claude-code",
    ),
)  # fmt: skip

ALIASES = {"log": ("logs",), "status": ("queue",), "new": ("launch",)}
"""SkyPilot's words for a command."""

TAKE_REPO = ("new", "open", "doctor")
"""Commands that take --repo; every other one finds the repository in its session."""


def groups_text(helps: Mapping[str, str]) -> str:
    """Return the groups as the text of `cockpit --help`, from the help of each command."""
    return "\n\n".join(_group_text(group, helps) for group in GROUPS)


def _group_text(group: Group, helps: Mapping[str, str]) -> str:
    lines = [f"  {_names(name):<{NAME_WIDTH}} {helps[name]}" for name in group.commands]
    return "\n".join([f"{group.title}:", *lines, f"  example: {group.example}"])


def _names(name: str) -> str:
    return ", ".join((name, *ALIASES.get(name, ())))
