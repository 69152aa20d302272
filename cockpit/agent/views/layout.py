"""Bounded tables and lists for the briefing."""

from collections.abc import Iterable


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]], max_chars: int = 8_000) -> str:
    """Return the rows below a title, or an empty text without rows. The last rows that exceed the limit are dropped."""
    head, lines, size = ["# " + title, "\t".join(columns)], list[str](), 0
    for row in rows:
        text = "\t".join("" if cell is None else str(cell) for cell in row)
        size += len(text) + 1
        if size > max_chars:
            break
        lines.append(text)
    return "\n".join(head + lines) if lines else ""


def newest(lines: Iterable[str], max_chars: int) -> list[str]:
    """Return the last of `lines` that fit into `max_chars`, in their order."""
    kept: list[str] = []
    for text in reversed(list(lines)):
        max_chars -= len(text) + 1
        if max_chars < 0:
            break
        kept.append(text)
    return kept[::-1]


def titled(title: str, lines: list[str]) -> str:
    """Return the lines below a title, or an empty text without lines."""
    return "\n".join([f"# {title}", *lines]) if lines else ""
