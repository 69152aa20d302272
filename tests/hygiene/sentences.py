"""Find sentences that break the writing rules of docs/design.md.

    python -m tests.hygiene.sentences cockpit/fleet tests/fleet README.md

Prints `file:line: phrase: sentence` for each and exits with 1 if there is any. Without arguments it reads the whole
repository. In Python files it reads docstrings and comments, and in cockpit/ also the strings that a person may see.
In Markdown files it reads everything outside code.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).parents[2]
PROSE = ("cockpit", "tests", "benchmarks", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "sessions/README.md")

OPENINGS = ("What", "Whether", "Who", "Of", "So", "Say")
NOT_VERBS = re.compile(
    r"(?:A|An|The|Its|Their|Each|Every|Own|One|Two|All|No|Not|Only|True|False|It|They|This|These|That|What|Whether|How|Why"
    r"|Who|Which|Where|When|If|As|At|By|For|From|In|Of|On|So|To|With|Seconds)\b|[^A-Z]"
)
"""The start of a sentence that does not start with a verb. The docstring of a function must start with one."""
PHRASES = (
    "is no ", "by itself", "goes on", "nobody", "whoever", "so many", "is had",
    "return whether", "returns whether", "tell whether", "tells whether",
)  # fmt: skip

_OPENING = re.compile(rf"(?:^|(?<=[.!?:] ))({'|'.join(OPENINGS)})\b")
_PHRASE = re.compile(rf"\b({'|'.join(phrase.rstrip() for phrase in PHRASES)})(?![\w-])", re.IGNORECASE)
# "There is no session" and "is no longer listed" are plain; `a watcher is no client` is not.
_PLAIN_NO = re.compile(r"\bthere is no\b|\bis no longer\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?]) ")
_CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True)
class Passage:
    """Consecutive lines of prose in one file."""

    path: Path
    line: int
    text: str
    is_sentence: bool
    """False for a string that a person may see: only its phrases are checked, as it may be part of a sentence."""
    starts_with_verb: bool = False
    """True for the docstring of a function."""


@dataclass(frozen=True)
class Finding:
    path: Path
    line: int
    phrase: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.phrase}: {self.sentence}"


def findings(paths: Sequence[Path]) -> list[Finding]:
    """List every broken rule in these files and folders."""
    return [found for path in prose_files(paths) for passage in passages(path) for found in check(passage)]


def prose_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(
                each for each in path.rglob("*") if each.suffix in (".py", ".md") and not each.is_symlink()
            )
        elif path.suffix in (".py", ".md"):
            yield path


def check(passage: Passage) -> Iterator[Finding]:
    text = _CODE.sub(lambda code: "`" * len(code.group()), passage.text)
    text = _PLAIN_NO.sub(lambda plain: "~" * len(plain.group()), text)
    if passage.starts_with_verb and NOT_VERBS.match(passage.text):
        yield Finding(passage.path, passage.line, "no verb first", _sentence(passage.text.replace("\n", " "), 0))
    patterns = [_OPENING, _PHRASE] if passage.is_sentence else [_PHRASE]
    # Lines keep their length when joined, so that an offset still tells the line.
    flat = text.replace("\n", " ")
    for pattern in patterns:
        for match in pattern.finditer(flat):
            line = passage.line + text.count("\n", 0, match.start())
            yield Finding(passage.path, line, match.group(1), _sentence(passage.text.replace("\n", " "), match.start()))


def _sentence(text: str, offset: int) -> str:
    starts = [0, *(match.end() for match in _SENTENCE_END.finditer(text))]
    start = max(each for each in starts if each <= offset)
    end = next((each for each in starts if each > offset), len(text))
    return text[start:end].strip()[:120]


def passages(path: Path) -> Iterator[Passage]:
    text = path.read_text()
    if path.suffix == ".md":
        yield from _markdown(path, text)
        return
    tree = ast.parse(text)
    yield from _docstrings(path, tree)
    yield from _comments(path, text)
    if "cockpit" in path.parts:
        yield from _messages(path, tree)


def _markdown(path: Path, text: str) -> Iterator[Passage]:
    """Yield paragraphs, list items and table cells; leave out code blocks."""
    block: list[str] = []
    first = 1
    in_code = False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        is_fence = line.lstrip().startswith("```")
        stripped = re.sub(r"^\s*(?:[-*#>]+|\d+\.)\s+", "", line).strip()
        starts_new = not stripped or is_fence or in_code or stripped != line.strip() or stripped.startswith("|")
        if starts_new and block:
            yield Passage(path, first, "\n".join(block), is_sentence=True)
            block = []
        if is_fence:
            in_code = not in_code
        elif in_code or not stripped or line.startswith("    "):
            continue
        elif stripped.startswith("|"):
            for cell in stripped.strip("|").split("|"):
                yield Passage(path, number, cell.strip(), is_sentence=True)
        else:
            if not block:
                first = number
            block.append(stripped)


def _docstrings(path: Path, tree: ast.Module) -> Iterator[Passage]:
    """Yield the strings that are statements: docstrings of modules, classes, functions and constants."""
    of_functions = {id(node.body[0]) for node in ast.walk(tree) if _is_called(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines = [line.strip() for line in node.value.value.splitlines()]
            for first, block in _paragraphs(lines):
                is_first = first == 0 and id(node) in of_functions
                yield Passage(path, node.lineno + first, "\n".join(block), is_sentence=True, starts_with_verb=is_first)


def _is_called(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return True if the node is a function; a property and a fixture are read like values."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not any(word in ast.unparse(each) for each in node.decorator_list for word in ("property", "fixture"))


def _paragraphs(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    block: list[str] = []
    for number, line in enumerate([*lines, ""]):
        if line:
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _comments(path: Path, text: str) -> Iterator[Passage]:
    """Yield comments; a comment alone on its line continues the one on the line before."""
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, column = token.start
        content = token.string.lstrip("#").strip()
        is_alone = not token.line[:column].strip()
        if not (is_alone and block and line == last + 1):
            if block:
                yield Passage(path, last - len(block) + 1, "\n".join(block), is_sentence=True)
            block = []
        block.append(content)
        last = line
    if block:
        yield Passage(path, last - len(block) + 1, "\n".join(block), is_sentence=True)


def _messages(path: Path, tree: ast.Module) -> Iterator[Passage]:
    """Yield strings of more than one word that are not docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        if " " in node.value.strip():
            yield Passage(path, node.lineno, node.value, is_sentence=False)


def main(arguments: Sequence[str]) -> int:
    paths = [Path(each) for each in arguments] or [ROOT / each for each in PROSE]
    found = findings([path for path in paths if path.exists()])
    for each in found:
        print(each)
    print(f"{len(found)} sentences to rewrite" if found else "no sentence to rewrite", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
