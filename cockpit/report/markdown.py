"""The report as Markdown for a pull request: the gain, what was kept, the story, the best code, the open points.

Text of runs, models and people is data: it becomes neither markup nor a mention nor a link.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from cockpit.core.metric import precise
from cockpit.core.model import Estimate
from cockpit.core.state import State
from cockpit.read.effects import ADJUSTED_NOTE
from cockpit.read.wording import count, money, signed, value
from cockpit.report.contents import Contents, Costs, Kept, contents
from cockpit.report.results import clean

KEPT_AT_MOST = 60
DIFF_CHARACTERS = 30_000
TEXT_CHARACTERS = 400
_MARKUP = re.compile(r"[\\`*<>\[\]|~&@#]|(?<![^\W_])_|_(?![^\W_])|^[-+=]|://")
_ENTITIES = {"@": "&#64;", "#": "&#35;", "<": "&lt;", ">": "&gt;", "&": "&amp;", "://": "&#58;//"}
_LIST_NUMBER = re.compile(r"^(\d+)([.)])(?=\s|$)")
_FENCE = re.compile(r"`{3,}")


def markdown(state: State, now: float, diff: str | None = None) -> str:
    """Return the text at `now`. `diff` is the change of the best variant; None without the repository."""
    return "\n".join(_lines(contents(state, now), diff)) + "\n"


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    shown = clean(text)
    shown = shown if len(shown) <= TEXT_CHARACTERS else f"{shown[: TEXT_CHARACTERS - 1]}…"
    marked = _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), shown)
    return _LIST_NUMBER.sub(r"\1\\\2", marked)


def _lines(found: Contents, diff: str | None) -> Iterator[str]:
    yield f"## {'SIMULATED: ' if found.simulated else ''}{plain(found.name)}"
    yield ""
    if found.simulated:
        yield "**No GPU ran any of this. Every number comes from a simulated fleet.**"
        yield ""
    yield f"**{plain(found.verdict)}**"
    yield ""
    yield from _gain(found)
    yield from _kept(found)
    if found.story:
        yield "### The story"
        yield ""
        for sentence in found.story:
            yield f"- {plain(''.join(part.text for part in sentence))}"
        yield ""
    yield from _best(found, diff)
    yield from _proposers(found.costs)
    if found.commands:
        yield "### Reproduce it"
        yield ""
        yield f"{found.commands_place}:"
        yield ""
        yield from _fenced("sh", "\n".join(f"{one.line}  # {one.purpose}" for one in found.commands))
    yield "### Not checked"
    yield ""
    open_points = ["everything: the scores are simulated"] if found.simulated else [*found.unchecked]
    if found.unablated:
        open_points.append(found.unablated)
    for line in open_points or ["each check of this session was made"]:
        yield f"- {plain(line)}"


def _gain(found: Contents) -> Iterator[str]:
    total = found.stack.total
    rows = []
    if total is not None:
        rows.append(
            (
                "total gain",
                _mean(found, total),
                f"{_interval(found, total)}, {count(total.runs, 'run')}, {total.hardware}",
            )
        )
    if found.best is not None:
        for hardware, scores in found.best.scores.items():
            mean = precise(found.metric.value(sum(scores) / len(scores)))
            rows.append(
                (
                    f"{found.metric.name} on {hardware}",
                    mean,
                    f"{count(len(scores), 'run')}, {found.best.origin or 'as measured'}",
                )
            )
    if found.baseline is not None:
        mean = precise(found.metric.value(found.baseline.mean))
        said = ", ".join(filter(None, (count(found.baseline.runs, "run"), found.baseline_origin)))
        rows.append((f"baseline on {found.baseline.hardware}", mean, said))
    each = found.stack.usd_per_milli
    per_milli = f"; {money(each)} for each thousandth of {found.metric.name}" if each else ""
    costs = found.costs
    rows.append(("cost", money(costs.books.total_usd), f"{costs.books.gpu_hours:.2f} {costs.device}-hours{per_milli}"))
    if costs.model_cost:
        rows.append(("researcher", "", costs.model_cost))
    yield from _table(("", found.metric.better, ""), rows)
    if total is not None:
        yield ADJUSTED_NOTE
        yield ""


def _kept(found: Contents) -> Iterator[str]:
    yield "### What was kept"
    yield ""
    if not found.kept:
        yield "No change was kept."
        yield ""
        return
    left_out = found.kept_left_out + max(0, len(found.kept) - KEPT_AT_MOST)
    if left_out:
        yield f"The last {min(KEPT_AT_MOST, len(found.kept))}; {left_out} earlier ones are in the report."
        yield ""
    yield from _table(
        ("experiment", "change", "gain", "90% interval", "runs", "scored", "certificate"),
        [_kept_row(found, kept) for kept in found.kept[-KEPT_AT_MOST:]],
    )


def _kept_row(found: Contents, kept: Kept) -> Sequence[str]:
    estimate = kept.change.estimate
    runs = ", ".join(f"{len(scores)} {hardware}" for hardware, scores in kept.scores.items())
    gain = (_mean(found, estimate), _interval(found, estimate)) if estimate else ("–", "none")
    return (
        kept.experiment,
        kept.change.change,
        *gain,
        runs,
        kept.change.origin or "–",
        kept.certificate[:16] or "none",
    )


def _best(found: Contents, diff: str | None) -> Iterator[str]:
    if found.best is None:
        return
    yield "### Best configuration"
    yield ""
    if found.best.changed:
        rows = [(name, "–" if old is None else value(old), value(new)) for name, old, new in found.best.changed]
        yield from _table(("constant", "unchanged", found.best.experiment), rows)
    if diff:
        yield "<details><summary>The whole change as a diff</summary>"
        yield ""
        yield from _fenced("diff", diff[:DIFF_CHARACTERS])
        if len(diff) > DIFF_CHARACTERS:
            yield f"{len(diff) - DIFF_CHARACTERS} more characters are left out."
        yield "</details>"
        yield ""


def _proposers(costs: Costs) -> Iterator[str]:
    """Yield the ideas and costs by proposer."""
    if not costs.proposers:
        return
    yield "### By proposer"
    yield ""
    yield from _table(
        ("proposer", "arms", f"{costs.device}-hours", "API dollars", "kept"),
        [
            (
                f"{one.name} ({one.wall})" if one.wall else one.name,
                str(one.arms),
                f"{costs.proposer_hours.get(one.name, 0.0):.2f}",
                money(one.api_usd) + (f" and {count(one.unmetered, 'unmetered turn')}" if one.unmetered else ""),
                ", ".join(one.keeps) or "none",
            )
            for one in costs.proposers
        ],
    )


def _mean(found: Contents, estimate: Estimate) -> str:
    return signed(found.metric.value(estimate.mean))


def _interval(found: Contents, estimate: Estimate) -> str:
    low, high = found.metric.interval(estimate.low, estimate.high)
    return f"{signed(low)} to {signed(high)}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(plain, header))} |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield f"| {' | '.join(map(plain, row))} |"
    yield ""


def _fenced(language: str, text: str) -> Iterator[str]:
    """Yield a code block whose fence is longer than any in the text."""
    longest = max((len(fence) for fence in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    yield f"{fence}{language}"
    for line in text.rstrip("\n").split("\n"):
        yield "".join(character if character.isprintable() else " " for character in line.expandtabs(4))
    yield fence
    yield ""
