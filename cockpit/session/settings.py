"""cockpit.toml: the defaults of a repository's sessions. A command's flags override it, the environment overrides both.

It is read once into frozen objects. An unknown key is refused by name, so that a misspelt limit is not silently lost.
"""

import difflib
import math
import re
import shlex
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from cockpit.core.hosted_agents import KNOWN_AGENTS, RESERVED_NAMES
from cockpit.session.paths import SETTINGS_FILE
from cockpit.session.research_settings import KnobSetting, ResearchSettings
from cockpit.session.setting_types import Amount, AtLeastOne, Count, SettingsError

FILE_CHARACTERS = 1 << 20
"""Characters of the largest settings file that is read."""


class NewSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The defaults of `cockpit new`."""

    fleet: str = "local"
    """`local`, `sim` or `sky`."""
    clusters: Count = 0
    """0 for the fleet's own number: this machine's slots, 16 elsewhere."""
    hardware: str = ""
    """On SkyPilot, the number of clusters per class: `H100:13,H200:3`; empty for any of experiment.yaml's classes."""
    infra: str = ""
    """Where SkyPilot launches: `k8s`, `slurm/NAME`, `aws` …; empty for experiment.yaml's choice."""
    mode: str = "copilot"
    agent: str | tuple[str, ...] = ""
    """An agent that the worker starts: `claude-code`, `codex`, `gemini`, `opencode`, or a command that speaks ACP."""
    proposer: str = ""
    """Empty for `claude` if there is a key, otherwise `grid`."""
    corpus: str = ""
    """`climbmix` or `stdlib`; empty for the prepared one, `stdlib` on a machine without a GPU."""
    budget_usd: Amount = 0.0
    budget_hours: Amount = 0.0
    early_stopping: bool = True
    """End runs whose curves can no longer reach the incumbent."""
    seed: Count = 1337
    prior: tuple[str, ...] = ()
    """Files with the findings of others, which are tried first: results.tsv, or a session's export or report."""


class EnvelopeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    usd: Amount = 0.0
    gpu_hours: Amount = 0.0
    wave_size: Count = 16
    patches: bool = False
    filler: bool = True
    worth_usd: Amount = 0.0


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens."""

    input: Amount
    output: Amount
    cache_read: Amount
    cache_write_5m: Amount
    cache_write_1h: Amount


PRICES = {
    "claude-opus-5-5": Price(4.0, 20.0, 0.20, 5.0, 8.0),
    "claude-opus-5": Price(5.0, 25.0, 0.50, 6.25, 10.0),
    "claude-opus-4-8": Price(5.0, 25.0, 0.50, 6.25, 10.0),
    "claude-fable-5-2": Price(8.0, 40.0, 0.20, 10.0, 16.0),
    "claude-fable-5-1": Price(10.0, 50.0, 0.25, 12.5, 20.0),
    "claude-fable-5": Price(10.0, 50.0, 1.0, 12.5, 20.0),
    "claude-sonnet-5-5": Price(2.0, 10.0, 0.10, 2.5, 4.0),
    "claude-sonnet-5": Price(2.0, 10.0, 0.20, 2.5, 4.0),
    "claude-haiku-5-5": Price(0.10, 0.50, 0.01, 0.125, 0.20),
    "claude-haiku-4-5": Price(1.0, 5.0, 0.10, 1.25, 2.0),
}
"""As published in October 2026; Haiku's are for prompts of up to 100,000 tokens."""


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The researcher: its model, its effort and its limits."""

    model: str = "claude-opus-5-5"
    small_model: str = "claude-haiku-5-5"
    """Summarises the history that no longer fits into the researcher's context."""
    effort: Literal["", "low", "medium", "high", "xhigh", "max"] = "high"
    """Empty for a model without this option."""
    show_thinking: bool = True
    """Request summaries of its thinking for the screen; off for a model that has none."""
    max_tokens: AtLeastOne = 32_000
    """Limit of one answer, thinking included."""
    most_calls: AtLeastOne = 40
    """Requests in one turn."""
    tries: AtLeastOne = 5
    """Attempts at one request, where a retry can help."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    """Seconds without a byte from the API before a request counts as lost."""
    command: tuple[str, ...] = ()
    """The command of an agent that speaks ACP, which proposes in a new session in place of a built-in proposer."""
    silence_s: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    """Seconds without a word from such an agent, after which it counts as hung."""
    turn_s: Annotated[float, msgspec.Meta(gt=0)] = 3_600.0
    """The longest turn of such an agent."""
    confined: bool = True
    """Start such an agent behind the wall that runs have, where this machine has one."""
    folders: tuple[str, ...] = ()
    """Files and folders that a confined agent may read and change beside its checkout; a known agent's login is one."""
    env: tuple[str, ...] = ()
    """Names and patterns of the variables that it inherits from the worker beside the usual ones; keys only by name."""
    permissions: Literal["refuse", "ask"] = "refuse"
    """The answer to such an agent where the policy does not allow what it asks for: no, or a person is asked."""
    permission_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """Seconds for a person to answer. Then it is refused."""
    base_url: str = ""
    key_file: str = "~/.config/cockpit/anthropic.key"
    """A file with mode 600 that holds the key; ANTHROPIC_API_KEY overrides it."""
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """Share of the arms that the model chooses in `hybrid`; `numeric` fills the rest."""
    numeric: Literal["search", "tpe"] = "search"
    """The proposer of the numeric arms in `hybrid`; `tpe` is Optuna's."""
    prices: dict[str, Price] = {}
    """Prices by model, which override the published ones."""

    def price(self, model: str) -> Price:
        """Return the price of `model`; for an unknown model the highest known one, so that no budget is exceeded."""
        listed = PRICES | self.prices
        dearest = (max(each) for each in zip(*map(msgspec.structs.astuple, listed.values()), strict=True))
        return listed.get(model) or Price(*dearest)


class NamedAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agent under a name that the person chose, `[agents.NAME]`."""

    command: tuple[str, ...] = ()
    """Empty for that of a known agent of this name."""
    folders: tuple[str, ...] = ()
    env: tuple[str, ...] = ()


class ScreenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    theme: str = "dark"
    mouse: bool = True
    bell: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    session: NewSession = NewSession()
    research: ResearchSettings = ResearchSettings()
    envelope: EnvelopeSettings = EnvelopeSettings()
    agent: AgentSettings = AgentSettings()
    agents: dict[str, NamedAgent] = {}
    """Hosted agents by name, each with a command, folders and variables of its own."""
    screen: ScreenSettings = ScreenSettings()
    usd_per_hour: dict[str, Amount] = {}
    """Price of one accelerator, which precedes that of SkyPilot's catalog."""
    on_event: str = ""
    """A command that runs when a person is needed, with the event on its standard input."""

    @property
    def commands(self) -> dict[str, tuple[str, ...]]:
        """The commands of the agents that have a name of the person's."""
        return {name: agent.command for name, agent in self.agents.items() if agent.command}


def read_settings(repo: Path) -> Settings:
    """Read the settings of a repository; the defaults if it has no cockpit.toml. Raises SettingsError."""
    path = repo / SETTINGS_FILE
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(FILE_CHARACTERS + 1)
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if len(text) > FILE_CHARACTERS:
        raise SettingsError(f"{path} has more than {FILE_CHARACTERS} characters")
    try:
        found = _with_new_names(tomllib.loads(text))
        _refuse_infinite(found)
        settings = msgspec.convert(found, Settings)
        _check_agents(settings.agents)
        return settings
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {_sentence(str(error))}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets in brackets
        raise SettingsError(f"{path} cannot be read: {error}") from error


_AGENT_NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,39}", re.ASCII)


def _check_agents(agents: dict[str, NamedAgent]) -> None:
    """Raise SettingsError for an agent whose name cannot be used, or that has no command."""
    for name, agent in agents.items():
        if not _AGENT_NAME.fullmatch(name):
            raise SettingsError(f"[agents.{name}]: a name is up to 40 letters, digits, `.`, `_` and `-`")
        if name.lower() in RESERVED_NAMES:
            raise SettingsError(f"[agents.{name}]: {name} is the name of a proposer of cockpit's own: choose another")
        if not agent.command and name not in KNOWN_AGENTS:
            raise SettingsError(f'[agents.{name}] has no command: give `command = ["PROGRAM", …]`')


MOVED = {"run_command": "command", "time_budget_s": "time_budget_s", "time_limit_s": "time_limit_s"}
"""Settings that `[session]` held before they moved to `[research]`: old name to new name."""


def _with_new_names(found: dict[str, Any]) -> dict[str, Any]:
    """Return the tables with each moved setting under its new name. Files that people have keep their meaning."""
    old, new = found.get("session"), found.get("research", {})
    if not isinstance(old, dict) or not isinstance(new, dict):
        return found
    moved = {MOVED[name]: value for name, value in old.items() if name in MOVED}
    command = moved.get("command")
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        moved["command"] = shlex.join(command)
    kept = {name: value for name, value in old.items() if name not in MOVED}
    return {**found, "session": kept, "research": moved | new} if moved else found


def _refuse_infinite(table: dict[str, Any], path: str = "$") -> None:
    """Raise for TOML's nan and inf: as a limit they would compare as no limit at all."""
    for key, value in table.items():
        if isinstance(value, dict):
            _refuse_infinite(value, f"{path}.{key}")
        elif isinstance(value, float) and not math.isfinite(value):
            raise msgspec.ValidationError(f"Expected a finite number, got {value} - at `{path}.{key}`")


def _sentence(text: str) -> str:
    """Turn msgspec's message (`Expected `int`, got `str` - at `$.session.clusters``) into one that names the
    setting."""
    said, _, path = text.partition(" - at ")
    *table, setting = path.strip("`$").replace("[...]", ".*").lstrip(".").split(".")
    unknown = re.search(r"unknown field `(.*)`", said)
    if said.startswith("Invalid enum value"):
        return f"{_table(table)}{setting}: {said.rpartition(' ')[2]} is not one of {_choices(table, setting)}"
    if unknown is None:
        return f"{_table(table)}{setting.replace('*', 'an entry')}: {said[0].lower()}{said[1:]}"
    place = [*table, setting] if setting else []
    near = difflib.get_close_matches(unknown[1], _known(place), 1)
    where = f" in {_table(place).strip()}" if place else ""
    return f"there is no setting {unknown[1]!r}{where}: " + (f"did you mean {near[0]!r}?" if near else "remove it")


def _table(names: list[str]) -> str:
    return f"[{'.'.join(names)}] " if names else ""


def _choices(table: list[str], setting: str) -> str:
    part = _part(table)
    return ", ".join(repr(choice) for choice in get_args(get_type_hints(part)[setting])) if part else "the choices"


def _known(place: list[str]) -> tuple[str, ...]:
    """Return the settings of a table; none for a table whose keys the person chooses."""
    part = _part(place)
    return part.__struct_fields__ if part else ()


def _part(place: list[str]) -> type[msgspec.Struct] | None:
    parts: dict[str, type[msgspec.Struct]] = {
        "": Settings,
        "session": NewSession,
        "research": ResearchSettings,
        "research.knobs": KnobSetting,
        "envelope": EnvelopeSettings,
        "agent": AgentSettings,
        "agent.prices": Price,
        "agents.*": NamedAgent,
        "screen": ScreenSettings,
    }
    return parts.get(".".join(place[:2]))
