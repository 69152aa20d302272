"""Printing a session: its status, results, report, logs and diffs."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cockpit.cli.errors import CommandError
from cockpit.cli.json_output import print_json
from cockpit.cli.locate import glance_at, session, session_now, state_of
from cockpit.cli.thinned_log import ThinnedLog
from cockpit.core.metric import precise
from cockpit.core.nearest import did_you_mean
from cockpit.core.state import State
from cockpit.decide.budget import accounts
from cockpit.read.attempts import current_attempt
from cockpit.read.costs import device_word
from cockpit.read.early_stops import early_stopping_summary
from cockpit.read.forecasts import forecast_words, forecasts_of
from cockpit.read.model_cost import model_cost, model_cost_words
from cockpit.read.proposer_results import proposer_results
from cockpit.read.result_query import found_by
from cockpit.read.state_words import cluster_word
from cockpit.read.wording import duration
from cockpit.report.results import clean, results_tsv
from cockpit.report.status import Json, counts, status
from cockpit.session.paths import SessionFolder
from cockpit.session.plain_file import open_plain

FOLLOW_EVERY_S = 0.25
STATUS_EVERY_S = 2.0
CLUSTERS_AT_MOST = 32
CLEAR = "\x1b[H\x1b[2J"


def status_object(folder: SessionFolder, state: State) -> Json:
    """Return the session and its worker as one JSON object."""
    from cockpit.session import lock

    standing = lock.worker_status(folder)
    worker: Json = {"state": standing.state, "heartbeat_age_seconds": None, "pid": standing.pid, "note": standing.note}
    if standing.heartbeat_age_s is not None:
        worker["heartbeat_age_seconds"] = round(standing.heartbeat_age_s, 1)
    now = session_now(state) if standing.state != "stopped" else state.now
    return status(state, now, worker)


def status_text(folder: SessionFolder) -> Iterator[str]:
    """Yield the status for a person, as lines that fit a screen."""
    state = glance_at(folder)
    found = status_object(folder, state)
    yield from _session_lines(found)
    yield from _score_lines(found)
    by = counts(state)
    yield "arms      " + ", ".join(
        f"{by[key]} {key.replace('_', ' ')}"
        for key in ("proposed", "queued", "not_run", "running", "valid", "crashed", "kept")
        if by[key] or key != "not_run"
    )
    yield from _cost_lines(state, session_now(state) if found["worker"]["state"] != "stopped" else state.now)
    if early := early_stopping_summary(state.early_stops):
        yield f"early     {early}"
    yield from _cluster_lines(state, found)
    yield from _need_lines(state, found)


def _session_lines(found: Json) -> Iterator[str]:
    worker = found["worker"]
    simulated = "  SIMULATED" if found["simulated"] else ""
    age = worker["heartbeat_age_seconds"]
    heard = f", heard of {age:.0f} s ago" if age is not None and worker["state"] != "stopped" else ""
    yield f"session   {found['session']}  ({found['fleet']}, {found['mode']}, {found['proposer']} proposes){simulated}"
    yield f"worker    {worker['state']}{heard}" + (f"  {worker['note']}" if worker["note"] else "")
    if found["corpus"]:
        yield f"corpus    {found['corpus']}, preset {found['preset']}"


def _score_lines(found: Json) -> Iterator[str]:
    """Yield the scores of the baseline and of the incumbent."""
    for title in ("baseline", "best"):
        scored = found[title]
        if scored:
            value = precise(scored[found["metric"]["name"]])
            second = "".join(f"  {name} {mean:.6g}" for name, mean in scored.get("others", {}).items())
            origin = f", {scored['scored']}" if scored["scored"] else ""
            yield f"{title:<9} {value}  {scored['experiment']} on {scored['hardware']}{origin}{second}"


def _cost_lines(state: State, now: float) -> Iterator[str]:
    """Yield the time and money spent, and by whom."""
    books = accounts(state, state.now)
    yield f"busy      {books.duty:.0%} of cluster time, {duration(books.training_s)}"
    dollars = f"${books.gpu_usd:.2f} on clusters, ${books.api_usd:.2f} on models"
    yield f"spent     {books.gpu_hours:.1f} {device_word(state)}-hours, {dollars}"
    if cost := model_cost(state, now):
        yield f"claude    {model_cost_words(cost)}"
    if state.beside:
        for one in proposer_results(state):
            kept = f", kept {', '.join(one.keeps)}" if one.keeps else ""
            yield f"proposer  {one.name}: {one.share:.0%}, {one.arms} arms, ${one.api_usd:.2f}{kept}"
    if state.unmetered:
        turns = ", ".join(f"{name} {count}" for name, count in state.unmetered.items())
        yield f"unmetered {turns} turns without a report of their cost"


def _cluster_lines(state: State, found: Json) -> Iterator[str]:
    for cluster in found["clusters"][:CLUSTERS_AT_MOST]:
        word = cluster_word(state, state.clusters[cluster["name"]])
        doing = cluster["attempt"] or next(iter(cluster["next"]), "") or _told(cluster)
        yield f"  {cluster['name']:<8} {cluster['hardware'] or '?':<6} {word:<10} {doing}"


def _told(cluster: Json) -> str:
    """Return the words on a cluster without a run: its message, and the time and cost of its launch."""
    note = f" ({cluster['launch']})" if cluster["launch"] else ""
    return clean(cluster["message"])[:60] + note


def _need_lines(state: State, found: Json) -> Iterator[str]:
    """Yield the needs of the session, and the forecast of each proposal."""
    for need in found["needs"]:
        yield f"! {clean(need)}"
    for name in state.proposals:
        if said := forecast_words(forecasts_of(state, state.waves[name].arms)):
            yield f"  {name}: {said}"


def print_results(name: str | None, output: str | None, query: str = "") -> None:
    """Print results.tsv, or the lines of the experiments that a query matches. Raises BadQuery."""
    state = state_of(session(name))
    lines = results_tsv(state, found_by(state, query) if query else None)
    if output is None or output == "-":
        for line in lines:
            print(line)
        return
    Path(output).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"written to {output}")


def print_log(name: str | None, of: str, follow: bool, raw: bool) -> None:
    """Print the log of an attempt, or of an experiment's current one; with `follow` until the attempt ends.

    Progress that overwrites itself is thinned, unless `raw`.
    """
    folder = session(name)
    state = state_of(folder)
    attempt = current_attempt(state, of)
    if attempt is None:
        if of.split(".")[0] not in state.experiments:
            raise _unknown(state, of)
        raise CommandError(f"{of} has not run: `cockpit results` lists the experiments that have")
    path = folder.log(attempt.id)
    if not path.exists():
        raise CommandError(f"{attempt.id} has printed nothing yet")
    thinned = ThinnedLog()
    with open_plain(path) as file:
        while True:
            if chunk := file.read(1 << 16):
                show(chunk if raw else thinned.feed(chunk))
                continue
            if not follow or state_of(folder).attempts[attempt.id].status == "ended":
                show(thinned.end())
                return
            time.sleep(FOLLOW_EVERY_S)


def show(chunk: bytes) -> None:
    """Write bytes to a pipe as they are, and to a terminal without control characters."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    text = chunk.decode("utf-8", "replace")
    sys.stdout.write("".join(c if c.isprintable() or c in "\n\t" else "·" for c in text))
    sys.stdout.flush()


def print_diff(name: str | None, of: str, against: str | None) -> None:
    from cockpit.variant.store import VariantStore

    folder = session(name)
    state = state_of(folder)
    experiment = state.experiments.get(of.split(".")[0])
    if experiment is None:
        raise _unknown(state, of)
    other = against or experiment.base or experiment.id
    if other not in state.experiments:
        raise _unknown(state, other)
    store = VariantStore.of(state.session)
    text = store.diff(state.experiments[other].commit, experiment.commit)
    show((text or f"{of} is the code of {other}\n").encode())


def _unknown(state: State, name: str) -> CommandError:
    near = did_you_mean(name, state.experiments)
    return CommandError(f"there is no experiment {name!r}: {near or '`cockpit results` lists them'}")


def watch_status(name: str | None, as_json: bool) -> None:
    """Print the status again and again, on a cleared terminal, until the session has ended."""
    folder = session(name)
    while True:
        if sys.stdout.isatty():
            sys.stdout.write(CLEAR)
        print_status(str(folder.root), as_json)
        sys.stdout.flush()
        if state_of(folder).ended_at:
            return
        time.sleep(STATUS_EVERY_S)


def print_status(name: str | None, as_json: bool) -> None:
    folder = session(name)
    if as_json:
        print_json(status_object(folder, glance_at(folder)))
        return
    for line in status_text(folder):
        print(line)
