"""Find the commands in a repository's documents and shell scripts, each with the script that it starts."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from cockpit.variant.guess.listing import Listing
from cockpit.variant.guess.printed import imported_modules
from cockpit.variant.guess.statements import edited_files

RUNNERS = (
    ("uv", "run"), ("poetry", "run"), ("pixi", "run"), ("pipenv", "run"), ("pdm", "run"), ("rye", "run"),
    ("conda", "run"), ("mamba", "run"), ("micromamba", "run"),
)  # fmt: skip
LAUNCHERS = frozenset({"torchrun", "accelerate", "deepspeed"})
_PYTHON = re.compile(r"(?:[\w./-]*/)?python(?:3(?:\.\d+)?)?")
_STARTS = re.compile(
    r"(?:(?<=`)|(?<=^)|(?<=\$ )|(?<=> )|(?<=CMD )|(?<=: ))"
    r"(?:[A-Z_][A-Z0-9_]*=\S+ )*(?:[\w./-]*python3?[\d.]* |uv run |poetry run |pixi run |pipenv run |"
    r"(?:conda|mamba|micromamba) run |torchrun |accelerate launch |deepspeed |(?:bash|sh) |\./[\w/-]+\.sh)"
)
_STOPS = frozenset({"|", ">", ">>", "<", "&&", "||", ";", "&", "2>&1", "#"})
_NOT_A_RUN = re.compile(
    r"prepare|download|fetch|refresh|crawl|scrape|upload|publish|sampl|(?<![a-z])test|setup|data|plot|anal[iy]|chat|convert|export|tok(?:enizer|_)|generate|demo|dashboard"
    r"|monitor|leaderboard|profile|extract|verify|install|orchestrat|cached|seed_|eval|compare|infer|agent|overnight"
)
"""Parts of the names of scripts that do something other than an experiment."""
_JUDGES = re.compile(r"(?<![a-z])(?:eval|bench|compare|score)")
"""Parts of the names of scripts that score what was edited, if an agent's loop keeps their output."""
_OTHER_STARTS = re.compile(
    r"(?:(?<=`)|(?<=^)|(?<=\$ )|(?<=> )|(?<=: ))(?:[A-Z_][A-Z0-9_]*=\S+ )*"
    r"(?:node |bun (?:run )?|deno run |npm run |npx |go (?:run|test) |cargo (?:run|bench) |make \w|julia |Rscript "
    r"|ruby |php |java |dotnet run|swift run|zig build|lua |perl |(?:bash|sh) [\w./-]+\.sh\b|\./[\w./-]+)"
)
"""Commands that start something other than Python."""
_TRAINS_NOTHING = re.compile(
    r"--(?:\w+[-_]only|no[-_]train|skip[-_]train\w*|help|version|dry[-_]run|download|setup|init)(?:=true)?",
    re.IGNORECASE,
)
"""Options with which a training script does something else."""
_NO_RUNS = frozenset({"init", "help", "list", "show", "status", "login", "clean", "stop"})
"""Commands of a script's own that start no experiment."""
PROSE_WORDS = 3
"""Plain words behind a script that make a line a sentence about it: `python train.py writes metrics and artifacts`."""
_PLACEHOLDER = re.compile(r"<[\w -]+>|\.\.\.|…|\bpath/to\b|\{|\[|\$")


class Command(NamedTuple):
    words: tuple[str, ...]
    script: str
    """The path of the file that it starts."""
    evidence: str
    is_loop: bool = False
    """True if its output goes into a file, as in an agent's loop."""
    folder: str = ""
    """The folder of its last word, a file that each experiment writes anew; empty for a command of another kind."""

    def on(self, file: str) -> str:
        """Return the command with a file in place of its last word."""
        return shlex.join((*self.words[:-1], file))

    @property
    def text(self) -> str:
        return shlex.join(self.words)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words after the script."""
        at = next((i for i, word in enumerate(self.words) if _is_script(word, self.script)), len(self.words))
        return self.words[at + 1 :]


def documented_commands(listing: Listing) -> list[Command]:
    """Return the commands that start a script of the repository, in the order of the documents, each once.

    If no document shows one, return those of build files, else those that start a script that imports the edited file,
    whatever its name says.
    """
    documents = listing.documents()
    return (
        _commands_in(listing, documents)
        or _commands_in(listing, listing.build_files())
        or _commands_in(listing, documents, _edited_modules(listing))
    )


def absent_script(listing: Listing) -> str:
    """Return a clause on the first script that a document starts and that the repository lacks; empty for none."""
    for document in listing.documents():
        for number, line in _joined(listing, document):
            stripped = line.strip()
            for start in _STARTS.finditer(stripped):
                words, _ = _words(stripped[start.start() :].split("`", 1)[0])
                script = next((word for word in words if word.endswith(".py")), "")
                if not script or not is_run(script) or _PLACEHOLDER.search(script) or listing.resolve(script, document):
                    continue
                same = sorted(path for path in listing.paths if path.endswith(f"/{PurePosixPath(script).name}"))
                there = f"; there is {same[0]}" if len(same) == 1 else ""
                return f"{document} line {number} starts {script}, which is not there{there}"
    return ""


def _edited_modules(listing: Listing) -> frozenset[str]:
    """Return the modules of the files that the documents say are edited."""
    paths = (PurePosixPath(one.value) for one in edited_files(listing))
    return frozenset(".".join(path.with_suffix("").parts).removeprefix("src.") for path in paths)


def other_commands(listing: Listing) -> list[Command]:
    """Return the commands in the documents that start something other than Python; those of an agent's loop first.

    A shell script that runs no Python has its own path as the command's script.
    """
    found: dict[str, Command] = {}
    for document in listing.documents():
        for number, line in _joined(listing, document):
            for start in _OTHER_STARTS.finditer(line.strip()):
                text = line.strip()[start.start() :]
                one = _other_command(listing, document, text, f"{document} line {number}")
                known = found.get(one.text) if one else None
                if one and (known is None or (one.is_loop and not known.is_loop)):
                    found[one.text] = one
    return sorted(found.values(), key=lambda one: not one.is_loop)


def _other_command(listing: Listing, document: str, text: str, evidence: str) -> Command | None:
    words, is_loop = _words(text.split("`", 1)[0])
    if not words or _PLACEHOLDER.search(" ".join(words)):
        return None
    shell = _shell_script(listing, document, words)
    if shell and (_prepares(shell) or any(_commands(listing, document, text, evidence, frozenset()))):
        return None
    is_missing = not shell and any(word.endswith(".sh") for word in words[:2])
    return None if is_missing else Command(words, shell, evidence, is_loop)


def _prepares(shell: str) -> bool:
    """Return True for a shell script whose name says that it does something other than an experiment."""
    stem = PurePosixPath(shell).stem
    return bool(_NOT_A_RUN.search(stem)) and not _JUDGES.search(stem)


def _commands_in(listing: Listing, documents: list[str], edited: frozenset[str] = frozenset()) -> list[Command]:
    found: dict[str, Command] = {}
    for document in documents:
        for number, line in _joined(listing, document):
            for command in _commands(listing, document, line, f"{document} line {number}", edited):
                known = found.get(command.text)
                if known is None or (command.is_loop and not known.is_loop):
                    found[command.text] = command
    return list(found.values())


def _joined(listing: Listing, path: str) -> Iterator[tuple[int, str]]:
    """Yield the lines, each joined with those that a backslash continues."""
    pending, first = "", 0
    for number, line in listing.lines(path):
        first = first or number
        pending += line.rstrip()
        if pending.endswith("\\") and len(pending) < 4_000:
            pending = pending[:-1]
            continue
        yield first, pending
        pending, first = "", 0
    if pending:
        yield first, pending


def _commands(
    listing: Listing, document: str, line: str, evidence: str, edited: frozenset[str], depth: int = 0
) -> Iterator[Command]:
    """Yield the commands of a line. A script that imports a module of `edited` runs it, whatever its name says."""
    stripped = line.strip()
    for start in _STARTS.finditer(stripped):
        rest = stripped[start.start() :].split("`", 1)[0]
        words, is_loop = _words(rest)
        folder = _folder_of_new(listing, words)
        if not words or _PLACEHOLDER.search(" ".join(words[:-1] if folder else words)):
            continue
        if shell := _shell_script(listing, document, words):
            if not depth and not _NOT_A_RUN.search(PurePosixPath(shell).stem):
                for number, inner in _joined(listing, shell):
                    yield from _commands(
                        listing, shell, inner, f"{shell} line {number}, which {evidence} runs", edited, 1
                    )
            continue
        script = script_of_command(listing, words, document)
        old = words[:-1] if folder else words
        missing = any(word.endswith(".py") and not listing.resolve(word, document) for word in old)
        is_judge = is_loop and bool(_JUDGES.search(PurePosixPath(script).stem))
        is_judge = is_judge or bool(edited & imported_modules(listing.texts.get(script, "")))
        is_wanted = script and not missing and (is_run(script) or is_judge)
        if is_wanted and not any(map(_TRAINS_NOTHING.fullmatch, words)):
            if _does_something_else(words, script) or _runs_a_word(words) or _is_sentence(words, script):
                continue
            from_top = tuple(_from_top(listing, word, document) for word in words)
            yield Command(from_top, script, evidence, is_loop, folder)


def _runs_a_word(words: tuple[str, ...]) -> bool:
    """Return True if a word that is neither an option nor a script follows `python`, as in `python run train.py`."""
    at = next((i for i, word in enumerate(words) if _PYTHON.fullmatch(word)), len(words))
    return at + 1 < len(words) and words[at + 1].isalnum()


def _is_sentence(words: tuple[str, ...], script: str) -> bool:
    """Return True if plain words alone follow the script, as in a sentence about it."""
    at = next((i for i, word in enumerate(words) if _is_script(word, script)), len(words))
    follows = words[at + 1 :]
    return len(follows) >= PROSE_WORDS and all(word.strip(".,:").isalpha() for word in follows)


def _does_something_else(words: tuple[str, ...], script: str) -> bool:
    """Return True if the first argument is a command of the script's own, such as `download` or `eval`."""
    at = next((i for i, word in enumerate(words) if _is_script(word, script)), len(words))
    first = words[at + 1] if at + 1 < len(words) else ""
    return first.isalpha() and first.islower() and bool(_NOT_A_RUN.match(first) or first in _NO_RUNS)


def _folder_of_new(listing: Listing, words: tuple[str, ...]) -> str:
    """Return the folder of a file that the last word names and that is yet to be written beside others.

    The script before it takes it: `python run.py candidates/my_idea.py`. Empty for a command of another kind.
    """
    if len(words) < 3 or not words[-1].endswith(".py") or listing.resolve(words[-1]):
        return ""
    folder = PurePosixPath(words[-1]).parent.as_posix()
    takes_it = any(word.endswith(".py") for word in words[:-1]) or "-m" in words
    return folder if folder != "." and takes_it and files_of(listing, folder) else ""


def files_of(listing: Listing, folder: str) -> list[str]:
    """List the Python files of a folder that may be experiments."""
    found = [path for path in listing.paths if path.endswith(".py") and PurePosixPath(path).parent.as_posix() == folder]
    return sorted(path for path in found if not PurePosixPath(path).name.startswith(("_", "test_")))


def _from_top(listing: Listing, word: str, document: str) -> str:
    """Return a path that a document writes from its own folder as one from the top; any other word as it is."""
    if word in listing.paths or "/" not in document or not word.endswith(".py"):
        return word
    return listing.resolve(word, document) or word


def _words(text: str) -> tuple[tuple[str, ...], bool]:
    """Split a command line; without redirections. Returns True if there was one."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return (), False
    kept: list[str] = []
    for word in words:
        if word in _STOPS or word.startswith((">", "2>", "|")):
            return tuple(_with_env(kept)), word.startswith((">", "|", "2>"))
        kept.append(word.rstrip(";"))
    return tuple(_with_env(kept)), False


def _with_env(words: list[str]) -> list[str]:
    """Put `env` before a command that begins with assignments, so that it needs no shell."""
    return ["env", *words] if words and re.match(r"[A-Z_][A-Z0-9_]*=", words[0]) else words


def _shell_script(listing: Listing, document: str, words: tuple[str, ...]) -> str:
    word = words[1] if words[0] in ("bash", "sh") and len(words) > 1 else words[0]
    return listing.resolve(word, document) if word.endswith(".sh") else ""


def script_of_command(listing: Listing, words: tuple[str, ...], document: str = "") -> str:
    """Return the path of the Python file that a command starts: the first word that is one, or the module after -m."""
    takes_module = False
    for word in words:
        if takes_module:
            path = f"{word.replace('.', '/')}.py"
            return next((p for p in (path, f"src/{path}") if p in listing.paths), "")
        takes_module = word == "-m"
        if word.endswith(".py"):
            return listing.resolve(word, document)
    return ""


def with_python(words: tuple[str, ...], python: str, launcher: Callable[[str], str]) -> tuple[str, ...]:
    """Return the command with one Python in place of `python`, of `uv run` and its like, and of launchers.

    `launcher` gives the path of a launcher beside that Python. A command of another kind is returned as it is.
    """
    assigned = 0
    if words[:1] == ("env",):
        assigned = next((at for at, word in enumerate(words[1:], 1) if "=" not in word), len(words))
    before, rest = words[:assigned], _without_runner(words[assigned:])
    if rest and _PYTHON.fullmatch(rest[0]):
        return (*before, python, *rest[1:])
    if rest and rest[0].endswith(".py"):
        return (*before, python, *rest)
    if rest and rest[0] in LAUNCHERS:
        return (*before, launcher(rest[0]), *rest[1:])
    return words


def _without_runner(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words behind `uv run` and its like, and behind options such as `-n lab` of `conda run`."""
    runner = next((one for one in RUNNERS if words[: len(one)] == one), ())
    rest = words[len(runner) :]
    if not runner or not rest or not rest[0].startswith("-"):
        return rest
    starts = (at for at, word in enumerate(rest) if _PYTHON.fullmatch(word) or word in LAUNCHERS)
    return rest[next(starts, 0) :]


def _is_script(word: str, script: str) -> bool:
    return (word.endswith(".py") and script.endswith(PurePosixPath(word).name)) or word.replace(".", "/") == script[:-3]


def is_run(script: str) -> bool:
    """Return True if a script may be an experiment, by its path."""
    path = PurePosixPath(script)
    return not {"data", "tests", "test"}.intersection(path.parts) and not _NOT_A_RUN.search(path.stem)
