"""Markdown as rows of spans: headings, lists, quotes, fenced code, bold, italic, code and the addresses of links.

The text is data. It is made plain first; a link is shown with its address and leads nowhere; HTML stays text. A text
that is being written is laid out as far as it goes: a fence that is not closed yet is code to the end.
"""

import re

from rich.style import Style

from cockpit.tui.plain import plain
from cockpit.tui.rows import Ink
from cockpit.tui.views.spans import Span, wrap_spans

EMPHASIS = Style(italic=True)
CODE: Ink = "info"
STRONG: Ink = "key"
HEADING: Ink = "focus"
QUIET: Ink = "dim"

_FENCE = re.compile(r"\s*(```+|~~~+)")
_HEADING = re.compile(r"#{1,6}\s+")
_ITEM = re.compile(r"(\s*)([-*+]|\d{1,3}[.)])\s+")
_QUOTE = re.compile(r"\s*>\s?")
_RULE = re.compile(r"\s*([-*_])(\s*\1){2,}\s*")
_INLINE = re.compile(
    r"(?P<code>`[^`]+`)"
    r"|!?\[(?P<label>[^\[\]]*)\]\((?P<address>[^()\s]*)\)"
    r"|(?P<strong>(?<![\w*])\*\*(?=\S)[^*]+(?<=\S)\*\*(?![\w*]))"
    r"|(?P<emphasis>(?<![\w*])\*(?=[^\s*])[^*]+(?<=\S)\*(?![\w*])|(?<!\w)_(?=[^\s_])[^_]+(?<=\S)_(?!\w))"
)


def markdown_rows(text: str, width: int, ink: Ink = "text") -> list[list[Span]]:
    """Return the rows of a text, each at most `width` cells wide."""
    rows: list[list[Span]] = []
    fence = ""
    for raw in text.replace("\r\n", "\n").strip("\n").split("\n"):
        line = plain(raw)
        mark = _FENCE.match(line)
        if fence:
            if mark and line.strip() == mark[1] and mark[1].startswith(fence):
                fence = ""
            else:
                rows.extend(wrap_spans([("│ ", QUIET)], [(line, CODE)], width))
        elif mark:
            fence = mark[1]
        elif line.strip() or (rows and rows[-1]):
            rows.extend(_block(line, width, ink))
    while rows and not rows[-1]:
        rows.pop()
    return rows or [[]]


def _block(line: str, width: int, ink: Ink) -> list[list[Span]]:
    """Lay out a line outside code: an empty one stays an empty row."""
    if not line.strip():
        return [[]]
    if _RULE.fullmatch(line):
        return [[("─" * width, QUIET)]]
    if found := _HEADING.match(line):
        return wrap_spans([], [(line[found.end() :].rstrip(" #"), HEADING)], width)
    if found := _QUOTE.match(line):
        return wrap_spans([("│ ", QUIET)], _inline(line[found.end() :], QUIET), width)
    if found := _ITEM.match(line):
        mark = f"{found[1]}{'•' if found[2] in '-*+' else found[2]} "
        return wrap_spans([(mark, QUIET)], _inline(line[found.end() :], ink), width, blank=True)
    if line.lstrip().startswith("|"):
        return wrap_spans([], [(line, ink)], width)
    return wrap_spans([], _inline(line, ink), width)


def _inline(text: str, ink: Ink) -> list[Span]:
    spans: list[Span] = []
    at = 0
    for found in _INLINE.finditer(text):
        spans.append((text[at : found.start()], ink))
        if found["code"]:
            spans.append((found["code"][1:-1], CODE))
        elif found["strong"]:
            spans.append((found["strong"][2:-2], STRONG))
        elif found["emphasis"]:
            spans.append((found["emphasis"][1:-1], EMPHASIS))
        else:
            spans += [(found["label"], ink), (f" ({found['address']})", QUIET)]
        at = found.end()
    return [span for span in (*spans, (text[at:], ink)) if span[0]]
