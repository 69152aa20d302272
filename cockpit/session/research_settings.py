"""The `[research]` table of cockpit.toml: how the repository is run, and the access of its runs.

Each field is one row: its name, type, default, flag and help. cockpit.toml is read by it, the flags of `cockpit new`
are made from it, and a test compares it with docs/settings.md.
"""

import os
import shlex
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from cockpit.core.editable_files import script_among
from cockpit.session.setting_types import Amount, Count, Flag, SettingsError

CHECKPOINTS = (
    "*.pt", "*.pth", "*.ckpt", "*.safetensors", "*.npz", "*.onnx", "*.joblib", "*.pkl", "*.h5", "*.keras", "*.gguf",
    "*.msgpack", "*.cbm", "*.ubj", "*.model", "*.eqx", "*.tflite",
)  # fmt: skip
"""The usual names of checkpoints."""


class KnobSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values of a knob that search may use."""

    low: float | None = None
    high: float | None = None
    choices: tuple[bool | int | float | str, ...] = ()


class ResearchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: Annotated[
        tuple[str, ...],
        Flag("files that variants change, by their path in the repository; may be given again", "PATHS"),
    ] = ()
    """Empty for train.py."""
    protected: Annotated[
        tuple[str, ...],
        Flag("globs of files that no variant may change: hashed before and after each run, read-only in it", "GLOBS"),
    ] = ()
    command: Annotated[str, Flag("command that starts a run, such as 'uv run train.py'", "WORDS")] = ""
    """Empty for a guess."""
    setup: Annotated[
        str, Flag("command that makes this machine ready for the runs, once; for uv.lock 'uv sync --frozen'", "WORDS")
    ] = ""
    """Empty for a guess."""
    time_budget_s: Annotated[
        Amount, Flag("training seconds of a run; 0 for the repository's own", "SECONDS", "time-budget")
    ] = 0.0
    time_limit_s: Annotated[
        Amount, Flag("a run past it has failed; 0 for 600, or twice the budget", "SECONDS", "time-limit")
    ] = 0.0
    metric: Annotated[str, Flag("name of the number that a run prints and that is optimised", "NAME")] = ""
    """Empty for a guess."""
    direction: Annotated[
        Literal["", "min", "max"], Flag("the direction in which the metric is better; by its name if left out")
    ] = ""
    pattern: Annotated[
        str, Flag("regular expression whose group is the metric's value; for unusual shapes", "REGEX")
    ] = ""
    progress: Annotated[
        str, Flag("regular expression whose groups are the percentage done, or a step and the last step", "REGEX")
    ] = ""
    loss: Annotated[str, Flag("regular expression whose group is the training loss", "REGEX")] = ""
    constraints: Annotated[
        tuple[str, ...],
        Flag("limits on second metrics: peak_vram_mb < 64000, test_acc >= baseline; min NAME breaks ties", "LIMITS"),
    ] = ()
    score_command: Annotated[
        str, Flag("command that scores what a run left, after it and outside it; it prints the metric", "WORDS")
    ] = ""
    confine: Annotated[bool | None, Flag("confine runs; if left out, those that a Python starts")] = None
    network: Annotated[bool, Flag("let a confined run use the network, and with it what listens on this machine")] = (
        False
    )
    readable: Annotated[tuple[str, ...], Flag("paths that a confined run may read", "PATHS")] = ()
    rescore: Annotated[
        Literal["keeps", "all", "off"],
        Flag(
            "runs scored outside them: those that a would-be keep rests on, its confirmation with all probes; all;"
            " or none"
        ),
    ] = "keeps"
    env: Annotated[
        tuple[str, ...], Flag("names and patterns (`MYLIB_*`) of variables that a run inherits, secrets never", "NAMES")
    ] = ()
    links: Annotated[
        tuple[str, ...], Flag("paths that git does not store, linked into each run, besides those found", "PATHS")
    ] = ()
    artifacts: Annotated[
        tuple[str, ...], Flag("patterns of the files of a kept experiment that survive its run", "PATTERNS")
    ] = CHECKPOINTS
    artifacts_mb: Annotated[Amount, Flag("megabytes of the artifacts of one run", "MB")] = 2_000.0
    gpus_per_run: Annotated[
        Count, Flag("devices of one run; 0 for as many as the command starts, or all of a SkyPilot cluster", "N")
    ] = 0

    seed_by: Annotated[
        str,
        Flag(
            "where the code takes a run's seed: env:NAME, arg:--FLAG, arg:seed= for one word, or add for the change"
            " that new offers",
            "WHERE",
        ),
    ] = ""
    """Empty for a guess."""
    knobs: dict[str, KnobSetting | Literal["exclude", "pin"]] = {}
    """The range of each knob named here; `exclude` keeps it out of search, `pin` out of every proposal."""


class Row(NamedTuple):
    """One setting of the table."""

    field: str
    kind: Any
    """The type of its value: str, float, int, bool, a tuple of words, or the choices of a Literal."""
    flag: Flag
    optional: bool
    """None is a value of it: it may be left out."""

    @property
    def name(self) -> str:
        return f"--{self.flag.name or self.field.replace('_', '-')}"


def rows() -> Iterator[Row]:
    """Yield the rows of the table in order."""
    for field, hint in get_type_hints(ResearchSettings, include_extras=True).items():
        if get_origin(hint) is not Annotated:
            continue
        flag = next((extra for extra in hint.__metadata__ if isinstance(extra, Flag)), None)
        if flag is not None:
            inner = hint.__origin__
            plain = tuple(kind for kind in get_args(inner) if kind is not type(None))
            optional = type(None) in get_args(inner)
            kind = plain[0] if optional else inner
            yield Row(field, kind.__origin__ if get_origin(kind) is Annotated else kind, flag, optional)


DEFAULT_FILES = ("train.py",)
"""The editable files where no setting names others."""


def files_of(research: ResearchSettings) -> tuple[str, ...]:
    """Return the paths of the files that variants change.

    Raises SettingsError for a path outside the repository, and for one that is named twice.
    """
    found: dict[str, str] = {}
    for given in research.files or DEFAULT_FILES:
        path = PurePosixPath(os.path.normpath(given)) if given else PurePosixPath()
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise SettingsError(f"[research] files: {given!r} is not the path of a file inside the repository")
        same = unicodedata.normalize("NFC", path.as_posix()).casefold()
        if same in found:
            raise SettingsError(f"[research] files: {given!r} names the same file as {found[same]!r}")
        found[same] = path.as_posix()
    return tuple(found.values())


def script_of(research: ResearchSettings) -> str:
    """Return the script among the files that variants change. Raises SettingsError."""
    return script_among(files_of(research))


def words_of(command: str) -> tuple[str, ...]:
    """Split a command into its words, as a shell does. Raises ValueError for an open quote."""
    return tuple(shlex.split(command))


def listed(text: str) -> tuple[str, ...]:
    """Split the word of a flag at its commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
