"""Cards for a few clusters: progress, the question, the loss curve, earlier runs, the end of the log."""

from textual.strip import Strip

from cockpit.tui.figures import MINUS, age, duration
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Row, side_by_side
from cockpit.tui.theme import Palette
from cockpit.tui.views.cards import CardView, ResultView
from cockpit.tui.views.clusters import ClusterView
from cockpit.tui.widgets.curve import draw_curves

FEW = 4
"""The most clusters that have cards; of more, each has a cell or a row."""
WIDTH = 34
ROWS = 7
"""The fewest rows of a card."""
ROWS_AMONG_PANES = 16
"""The most rows of a card where the log has a pane below."""
CURVE_ROWS = (4, 11)
RULE = " │ "


def across(width: int, clusters: int) -> int:
    """Return the cards in a row, with rows as even as possible; 0 for no room or too many clusters."""
    most = min(clusters, (width + len(RULE)) // (WIDTH + len(RULE)))
    if not most or clusters > FEW:
        return 0
    lines = -(-clusters // most)
    return -(-clusters // lines)


def rows_each(width: int, height: int, clusters: int) -> int:
    """Return the rows of a card if all fit in `height`; 0 if they are shown as cells or as a table."""
    beside = across(width, clusters)
    if not beside:
        return 0
    lines = -(-clusters // beside)
    rows = (height + 1) // lines - 1
    return rows if rows >= ROWS else 0


def draw_cards(
    cards: list[tuple[CardView, list[str]]], selected: str, width: int, rows: int, beside: int,
    palette: Palette,
) -> list[Strip]:  # fmt: skip
    """Draw each card with the end of its log, `beside` of them in a row, each `rows` high."""
    cell = (width - (beside - 1) * len(RULE)) // beside
    rule = Row(len(RULE), palette).put(RULE, "track").strip()
    blank = Row(cell, palette).strip()
    drawn: list[Strip] = []
    for first in range(0, len(cards), beside):
        if drawn:
            drawn.append(Row(width, palette).put("─" * width, "track").strip())
        here = cards[first : first + beside]
        heads = [_head(card, cell, card.cluster.name == selected and len(cards) > 1, palette) for card, _ in here]
        longest = max(map(len, heads))
        row = [
            head + [blank] * (longest - len(head)) + _body(card, tail, cell, rows - longest, palette)
            for head, (card, tail) in zip(heads, here, strict=True)
        ]
        for line in range(rows):
            parts = [part for lines in row for part in (rule, lines[line] if line < len(lines) else blank)][1:]
            drawn.append(side_by_side(parts, width, palette.base))
    return drawn


def _body(card: CardView, tail: list[str], width: int, rows: int, palette: Palette) -> list[Strip]:
    """Draw at most `rows` of the curve, the runs that ended here, and the log."""
    body: list[Strip] = []
    if len(card.curve) > 1 and rows >= CURVE_ROWS[0]:
        share = rows // 2 if tail or len(card.results) > 2 else rows - 1 - len(card.results)
        high = max(CURVE_ROWS[0], min(CURVE_ROWS[1], share))
        body.extend(draw_curves(card.curve, card.rival, width, high, palette))
    left = rows - len(body)
    body.extend(_results(card.results, width, left // 2 if tail and left >= 5 else left, palette))
    return body + _tail(tail, width, rows - len(body), palette)


def _head(card: CardView, width: int, selected: bool, palette: Palette) -> list[Strip]:
    view = card.cluster
    old = bool(view.stale_s)
    calm = "dim" if old else "text"
    top = Row(width, palette, palette.selection if selected else None)
    top.put(view.glyph, "faint" if old else view.ink).skip()
    top.put(view.name, "dim" if old else "key").skip().put(view.hardware, "dim").skip(2).put(view.attempt, calm)
    word = f"{view.word} · {age(view.stale_s)} old" if old else view.word
    top.end(f" {word}", "dim" if old else view.ink)
    rows = [top]
    if not view.attempt:
        if view.idle_s and view.word != "down":
            rows.append(Row(width, palette).end(f"for {duration(view.idle_s)}{view.launch}", view.ink))
        rows.extend(Row(width, palette).put(line, "dim") for line in wrap(view.message, width, 4) if line)
        return [row.strip() for row in rows]
    rows.append(_progress(view, width, palette))
    about = Row(width, palette).put(view.about.within(width) or "the base as it is", "dim" if old else "key")
    rows.append(about)
    if view.loss is not None:
        loss = Row(width, palette).put("loss", "dim").skip().put(f"{view.loss:.4f}", calm).skip(2)
        if view.delta is not None:
            loss.put(f"{view.delta:+.3f}".replace("-", MINUS), "faint" if old else "good" if view.delta < 0 else "bad")
            loss.skip().put("vs the incumbent", "dim")
        rows.append(loss)
    rows.extend(Row(width, palette).put(line, "dim") for line in wrap(card.question, width, 2))
    if card.following.full:
        rows.append(Row(width, palette).put("next ", "dim").put(card.following.within(width - 5), calm))
    rows.extend(Row(width, palette).put(line, "warn") for line in wrap(view.message, width, 2) if line)
    return [row.strip() for row in rows]


def _progress(view: ClusterView, width: int, palette: Palette) -> Row:
    """Draw the progress of a run as a bar; the time since it began while it has printed none."""
    row, old = Row(width, palette), bool(view.stale_s)
    if not view.trained:
        return row.end(f"for {duration(view.waited_s)}", "dim")
    note = f" {view.trained:>4} {duration(view.remaining_s) if view.remaining_s else '':>6}"
    row.bar(view.fraction, max(4, width - width_of(note)), "faint" if old else "bar")
    return row.put(note, "dim" if old else "text")


def _results(results: list[ResultView], width: int, most: int, palette: Palette) -> list[Strip]:
    if most < 2 or not results:
        return []
    rows = [_heading("ran here", width, palette)]
    shown = results[: most - 1]
    wide = 2 + max(width_of(result.score) for result in shown)
    for result in shown:
        row = Row(width, palette).put(result.glyph, result.ink).skip().put(result.experiment, "text", 6)
        row.put(result.score, "text" if result.score[:1].isdigit() else result.ink, wide)
        row.put(result.delta, "good" if result.is_better else "dim", 8)
        row.put(result.about.within(row.left), "dim")
        rows.append(row.strip())
    return rows


def _tail(tail: list[str], width: int, most: int, palette: Palette) -> list[Strip]:
    if most < 2 or not tail:
        return []
    return [_heading("log", width, palette)] + [
        Row(width, palette).put(plain(line), "dim").strip() for line in tail[-(most - 1) :]
    ]


def _heading(text: str, width: int, palette: Palette) -> Strip:
    row = Row(width, palette).put("─ ", "track").put(text, "title").skip()
    return row.put("─" * row.left, "track").strip()
