"""Make text from logs, models and files safe to draw: control characters are shown, never sent to the terminal.

A terminal obeys control characters and escape sequences, reorders a line with right-to-left letters, and stacks
combining marks. Here each of those becomes the spelling of its code point, so that a cell holds what it shows.
"""

import re
import unicodedata
from functools import lru_cache

from rich.cells import cell_len, split_text

TAB = "    "

_SAFE = re.compile(r"[\x20-\x7e]*")
_CONTROL_PICTURES = 0x2400
_OBEYED_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Zl", "Zp"}
_REORDERED = {"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "PDF", "PDI", "FSI"}


def plain(text: str) -> str:
    """Return `text` on one line, with every character that a terminal would obey spelled out."""
    if _SAFE.fullmatch(text):
        return text
    return "".join(map(_shown, text))


@lru_cache(4096)
def _shown(character: str) -> str:
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return character
    if character == "\t":
        return TAB
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in _OBEYED_CATEGORIES or unicodedata.bidirectional(character) in _REORDERED:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def width_of(text: str) -> int:
    """Return the cells that the text takes. The text must be plain."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int) -> str:
    """Cut the text to at most `width` cells, with an ellipsis. The text must be plain."""
    if width <= 0:
        return ""
    if len(text) <= width and width_of(text) <= width:
        return text
    return split_text(text, width - 1)[0].rstrip(" ") + "…" if width > 1 else "…"


def wrap(text: str, width: int, most: int = 1_000) -> list[str]:
    """Wrap the text in lines of at most `width` cells, at spaces if it has any. Its own line ends are kept."""
    lines: list[str] = []
    for paragraph in text.replace("\r\n", "\n").split("\n"):
        lines.extend(_wrap_plain(plain(paragraph), max(1, width)))
        if len(lines) >= most:
            return lines[:most]
    return lines


def _wrap_plain(text: str, width: int) -> list[str]:
    lines: list[str] = []
    while width_of(text) > width:
        head, _ = split_text(text, width)
        at = head.rfind(" ", width // 3)
        if len(text) > len(head) and text[len(head)] == " ":
            at = len(head)
        if at <= 0:
            at = max(1, len(head))
        lines.append(text[:at].rstrip(" "))
        text = text[at:].lstrip(" ")
    return [*lines, text]
