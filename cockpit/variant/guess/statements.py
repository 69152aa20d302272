"""Read from a repository's documents which file is edited, which number is the metric, and its direction."""

import re
from collections import Counter
from typing import NamedTuple

from cockpit.core.metric import Direction
from cockpit.variant.guess.listing import Candidate, Listing
from cockpit.variant.guess.score_names import SCORE

_PATH = re.compile(r"[\w./-]{1,120}\.\w{1,10}\b")
_RECORDS = (".tsv", ".csv", ".log", ".lock", ".ipynb", ".png")
"""Suffixes of files that an agent's loop writes, and that no experiment edits."""
_PROSE = (".md", ".rst", ".txt")
_EDITS = re.compile(
    r"\b(?:modif(?:y|ies|ied)|edit(?:s|ed)?|touch(?:es)?|chang(?:e|es)|optimi[sz]es?|rewrites?|speeds? up"
    r"|makes? [`*\"']?[\w./-]{1,40}[`*\"']? (?:faster|smaller|better))\b",
    re.IGNORECASE,
)
_FORBIDS = re.compile(
    r"\bnot\b|\bnever\b|n't\b|read-only|\bfrozen\b|\blocked\b|\bfixed\b|\bcannot\b|\bwithout\b|by hand", re.IGNORECASE
)
_SENTENCES = re.compile(r"(?<=[.;!])\s+")
_FOLDER = re.compile(r"`([\w-][\w./-]{0,60}/)`")
_ALONE = re.compile(r"\b(?:single|only|one|the)\b[^.]{0,20}\bfile\b|\bfile\b[^.]{0,20}\b(?:agent|you)\b", re.IGNORECASE)
_NAME_BETWEEN = r"(?: [`*\"']?[\w./-]{1,40}[`*\"']?)?"
"""A name inside `lower NAME is better`."""
_TELLS_METRIC = re.compile(
    r"\bmetric\b|\boptimi[sz]ation target\b|\bobjective\b|\bgoal\b|\bscored?\b|\bm(?:ax|in)imi[sz]e|\bgrep\b"
    rf"|(?:lower|higher|smaller|larger){_NAME_BETWEEN} is better"
    r"|as (?:high|large|low|small) as (?:possible|you can)",
    re.IGNORECASE,
)
_HIGHER = re.compile(
    rf"\bmaximi[sz]|higher{_NAME_BETWEEN} (?:is|=) better|(?:larger|bigger|more) is better|\bhighest\b|\bbeat"
    r"|as (?:high|large) as ",
    re.IGNORECASE,
)
_LOWER = re.compile(
    rf"\bminimi[sz]|(?:lower|smaller|less){_NAME_BETWEEN} (?:is|=) better|\blowest\b|\(lower\)|as (?:low|small) as ",
    re.IGNORECASE,
)
_KEEPS = re.compile(r"\bkeeps?\b|\bbeats?\b|\bimproves?\b|if[- ]better|\bleaderboard\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]\w{1,40}")
_GATE = re.compile(r"[A-Za-z]\w*\s*(?:[<>≈=]=?|≥|≤)\s*[-+]?[\d.]+")
_NAMED = re.compile(r"`([^`]{2,60})`|\*\*([^*]{2,60})\*\*|[\"']\^?([\w -]{2,40}):?[\"']")
_UNQUOTED = re.compile(
    r"\b[A-Za-z]\w*[_/]\w+\b(?![./]\w)|\b(?:validation|val|test|eval|held[- ]out|dev) [A-Za-z]\w+\b", re.IGNORECASE
)
"""A name of two words: `val_acc`, `validation accuracy`."""
_CANNOT = re.compile(r"\bCANNOT\b|\bMUST NOT\b|do not (?:modify|edit|touch)|off[- ]limits|read-only", re.IGNORECASE)
_CAN = re.compile(r"\bcan\b(?! ?not)|editable|may edit", re.IGNORECASE)
_HEADING = re.compile(r"^\s*(?:#|\*\*[^*]+\*\*:?\s*$)")


_WANTS_SPEED = re.compile(
    r"\b(?:mak(?:e|es|ing)|goal|objective|metric|task|optimi[sz]\w*|minimi[sz]\w*|reduc\w+|scored?|measures?)\b.{0,80}?"
    r"\b(?:fast(?:er|est)?|speed|latency|(?:run(?:ning)?|elapsed|execution|wall(?:[ -]clock)?|total) ?time)\b",
    re.IGNORECASE,
)


class Statement(NamedTuple):
    name: str
    """A name as a document writes it."""
    direction: Direction | None
    evidence: str


def edited_files(listing: Listing) -> list[Candidate]:
    """Return the files that the documents say are edited; one that they call the only file alone.

    A file that more lines forbid to edit than allow is left out. Python files go before others, and a text such as
    `prompt.md` counts only where it is called the only one.
    """
    allowed, alone, forbidden = _read(listing)
    kept = {path: said for path, said in allowed.items() if len(said) > forbidden[path]}
    kept = {path: said for path, said in kept.items() if path in alone or not path.endswith(_PROSE)}
    kept = {path: said for path, said in kept.items() if path.endswith(".py")} or kept
    only = [path for path in kept if path in alone] or list(kept)
    return [kept[path][0] for path in only]


def fixed_files(listing: Listing) -> set[str]:
    """Return the files that more lines of the documents forbid to edit than allow."""
    allowed, _, forbidden = _read(listing)
    return {path for path, lines in forbidden.items() if lines >= len(allowed.get(path, ()))}


def _read(listing: Listing) -> tuple[dict[str, list[Candidate]], set[str], Counter[str]]:
    """Return the lines that allow to edit a file, the files that they call the only one, and the lines that forbid."""
    allowed: dict[str, list[Candidate]] = {}
    alone: set[str] = set()
    forbidden: Counter[str] = Counter()
    for document in listing.documents():
        is_forbidding = False
        for number, line in listing.lines(document):
            if _HEADING.match(line):
                is_forbidding = bool(_CANNOT.search(line)) and not _CAN.search(_CANNOT.sub("", line))
            if is_forbidding or _FORBIDS.search(line):
                forbidden.update(_in_folders(listing, line))
            parts = [line] if len(_files_in(listing, document, line)) < 2 else _SENTENCES.split(line)
            for part in filter(_EDITS.search, parts):
                found = _files_in(listing, document, part)
                if is_forbidding or (_FORBIDS.search(part) and not (len(found) == 1 and _invites(part))):
                    forbidden.update(found)
                elif len(found) == 1:
                    path = found.pop()
                    allowed.setdefault(path, []).append(Candidate(path, f"{document} line {number}"))
                    alone |= {path} if _ALONE.search(part) else set()
    return allowed, alone, forbidden


def _files_in(listing: Listing, document: str, text: str) -> set[str]:
    """Return the files that a text names; those that an agent's loop writes are none."""
    found = {path for word in _PATH.findall(text) if (path := listing.resolve(word, document))}
    return {path for path in found if not path.endswith(_RECORDS)}


def _in_folders(listing: Listing, line: str) -> set[str]:
    """Return the files of the folders that a line names: `harness/` in backquotes."""
    folders = tuple(_FOLDER.findall(line))
    return {path for path in listing.paths if path.startswith(folders)} if folders else set()


def _invites(line: str) -> bool:
    """Return True if a sentence of the line allows editing and none forbids it: `Frozen. Edit it`."""
    edits = [part for part in re.split(r"(?<=[.;)])\s+", line) if _EDITS.search(part)]
    return bool(edits) and not any(_FORBIDS.search(part) for part in edits)


def told_words(listing: Listing) -> dict[str, list[str]]:
    """Return the words of lines about keeping the better result, each with those lines; `auc > 0.5` is a gate."""
    found: dict[str, list[str]] = {}
    for document in listing.documents():
        for number, line in listing.lines(document):
            if _KEEPS.search(line):
                for word in {word.lower() for word in _WORD.findall(_GATE.sub(" ", line))}:
                    found.setdefault(word, []).append(f"{document} line {number}")
    return found


def metric_statements(listing: Listing) -> list[Statement]:
    """Return the names in lines about the metric, with the direction that the line states."""
    found: list[Statement] = []
    for document in listing.documents():
        for number, line in listing.lines(document):
            if not _TELLS_METRIC.search(line):
                continue
            higher, lower = bool(_HIGHER.search(line)), bool(_LOWER.search(line))
            direction = (Direction.MAX if higher else Direction.MIN) if higher != lower else None
            for name in _names(line) or _unquoted_scores(line):
                found.append(Statement(name, direction, f"{document} line {number}"))
    return found


def wants_speed(listing: Listing) -> str:
    """Return the first line that calls a program's time the goal, as evidence; empty for none."""
    lines = ((document, number, line) for document in listing.documents() for number, line in listing.lines(document))
    return next((f"{document} line {number}" for document, number, line in lines if _WANTS_SPEED.search(line)), "")


def _names(line: str) -> list[str]:
    quoted = [next(filter(None, match.groups()), "") for match in _NAMED.finditer(line)]
    return [name.strip().strip("^:").strip() for name in quoted]


def _unquoted_scores(line: str) -> list[str]:
    """Return the names of scores in the sentences of a line that tell the metric, and deny nothing."""
    telling = (one for one in _SENTENCES.split(line) if _TELLS_METRIC.search(one) and not _FORBIDS.search(one))
    return [name for one in telling for name in _UNQUOTED.findall(one) if SCORE.search(name)]
