"""Text from experiments, people and models as data: no escapes, no control characters, bounded, visibly quoted."""

import json
import re
import unicodedata

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC and their payload
    r"|[ -/]*[0-~]?)"
)
_LINE_BREAKS = re.compile(r"\r\n|[\x0b\x0c\x85\u2028\u2029]")
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}

CUT = "[…]"


def plain(text: str) -> str:
    """Return `text` without terminal escapes and invisible characters; newlines and tabs stay.

    Only the last part of a line with carriage returns stays, as a terminal shows a progress bar.
    """
    text = _LINE_BREAKS.sub("\n", _ESCAPES.sub("", text))
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "".join(
        char
        for char in "\n".join(lines)
        if char in "\n\t" or (char.isascii() and char.isprintable()) or unicodedata.category(char) not in _UNSEEN
    )


def clip(text: str, most: int) -> str:
    """Return at most `most` characters; a longer text loses its end."""
    return text if len(text) <= most else text[: most - len(CUT)] + CUT


def clip_start(text: str, most: int) -> str:
    """Return at most `most` characters; a longer text loses its start."""
    return text if len(text) <= most else CUT + text[len(CUT) - most :]


def line(text: str, most: int = 240) -> str:
    """Return `text` as one line of at most `most` characters."""
    return clip(" ".join(plain(text).split()), most)


def words_of_run(text: str, most: int = 240) -> str:
    """Return text that a run may have written as one line in double quotes; empty for none."""
    return json.dumps(line(text, most), ensure_ascii=False) if text else ""


def quoted(text: str) -> str:
    """Return `text` with a bar before each line, so that it cannot be mistaken for the surrounding text."""
    return "\n".join("| " + part for part in plain(text).split("\n"))


def end_of_traceback(log: str, most: int = 1_600) -> str:
    """Return the end of a log's last Python traceback, or of a log without one; plain, at most `most` characters."""
    text = plain(log).rstrip()
    start = text.rfind("Traceback (most recent call last)")
    return clip_start(text[start:] if start >= 0 else text, most)
