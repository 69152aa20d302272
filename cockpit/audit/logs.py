"""Audit a folder of run logs: `e0042.1.log` is a run of e0042. Each program claims to beat the best before it."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import fmean

import msgspec

from cockpit.audit.claims import Audit, AuditError, Finding, Group, Judgement, judged, problem_of
from cockpit.core.metric import DEFAULT_NAME, VAL_BPB, Metric
from cockpit.core.model import Outcome
from cockpit.fleet.node.folders import walk
from cockpit.fleet.run_log import RunLog

LOG_BYTES = 64 << 20
_REPEAT = re.compile(r"(?:[._-](?:seed|run|s|r)?\d+)?\.(?:log|txt|out)$", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:seed|run|rep|repeat|trial|train|log|output|stdout|s|r)?[._-]?\d*", re.IGNORECASE)
"""A name that tells a repeat from another, and no program."""
SUFFIXES = (".log", ".txt", ".out")
LOGS_AT_MOST = 20_000
LOGS_NAMED = 4
"""The most logs that are named in a sentence."""
SEED_WITHIN = 1 << 16
"""Bytes at the start of a log in which a run prints its seed."""
_SEED = re.compile(rb"\bseed\b[ :=]{1,3}(\d{1,20})", re.IGNORECASE)


class Run(msgspec.Struct, frozen=True):
    """One log."""

    value: float | None
    """The score; None if it has none."""
    problem: str
    """Why it does not count; empty if it does."""
    seed: str
    """As it was printed; empty if it was not."""
    code: str
    """The hashes of its code, as its runner printed them; empty if it did not."""


def audit_logs(folder: Path, metric: Metric = VAL_BPB) -> Audit:
    """Judge each program of the folder, in the order of their names, against the best one before. Raises AuditError."""
    found: dict[str, list[Run]] = {}
    silent = []
    for program, paths in _programs(folder).items():
        for path in paths:
            run = _read(path, metric)
            found.setdefault(program, []).append(run)
            if run.value is None and not run.problem:
                silent.append(path.relative_to(folder).as_posix())
    groups = [_group(name, runs) for name, runs in found.items()]
    groups = [group for group in groups if group.values or group.problem]
    if not groups:
        raise AuditError(
            f"no log in {folder} prints a {metric.name}: logs end in {', '.join(SUFFIXES)}, and --metric names another"
        )
    best: Group | None = None
    findings = []
    for group in groups:
        problem = problem_of(group)
        if best is not None and (problem or fmean(group.values) < fmean(best.values)):
            findings.append(judged(group, best, metric))
        elif problem and len(groups) > 1:
            findings.append(Finding(f"{group.name}, the first program", Judgement.INVALID, problem))
        if not problem and (best is None or fmean(group.values) < fmean(best.values)):
            best = group
    if not findings:
        raise AuditError(f"{folder} claims no gain: {_nothing_claimed(groups)}{_left_out(silent, metric)}")
    return Audit(findings, [f"{len(groups)} programs were read{_left_out(silent, metric)}"])


def _programs(folder: Path) -> dict[str, list[Path]]:
    """Return the logs of each program, in the order of their names.

    The logs of a folder are of one program where their names differ by a number alone, as in `e0042/seed1.log`. Folders
    of one number each, as in `seed1/e0042.log`, hold one run of each program.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(islice(_logs(folder), LOGS_AT_MOST), key=_in_order):
        inside = path.relative_to(folder).parent
        own = _REPEAT.sub("", path.name)
        if inside.parts and not _NUMBERED.fullmatch(inside.name):
            own = "" if _NUMBERED.fullmatch(path.stem) else own
        elif inside.parts:
            inside = inside.parent
        found.setdefault((inside / own).as_posix() if inside.parts or own else path.stem, []).append(path)
    return found


def _in_order(path: Path) -> list[object]:
    """Return a key by which 2 comes before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.as_posix())]


def _logs(folder: Path) -> Iterator[Path]:
    for where, folders, names in walk(str(folder)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(where, name) for name in names)
        yield from (path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file())


def _nothing_claimed(groups: list[Group]) -> str:
    """Return why no program of these claims to be better than another, in a clause."""
    first = groups[0]
    if len(groups) > 1:
        return f"none of its {len(groups)} programs scores better than the first, {first.name}"
    if problem := problem_of(first):
        return problem
    runs = "its one run has" if len(first.values) == 1 else f"its {len(first.values)} runs are of one program and have"
    return f"{runs} nothing to be compared with; add the logs of another program"


def _left_out(silent: list[str], metric: Metric) -> str:
    """Return how many logs have no score, in a clause that follows another; empty for none."""
    if not silent:
        return ""
    names = ", ".join(silent[:LOGS_NAMED]) + (" and others" if len(silent) > LOGS_NAMED else "")
    were = "was" if len(silent) == 1 else "were"
    return f"; {len(silent)} without a {metric.name} or of a failed run {were} left out: {names}"


def _group(name: str, runs: list[Run]) -> Group:
    problem = next((run.problem for run in runs if run.problem), "")
    scored = [run for run in runs if run.value is not None]
    if not problem and len({run.code for run in scored if run.code}) > 1:
        problem = f"the logs of {name} are of runs of different code"
    seeds = [run.seed for run in scored if run.seed]
    if not problem and len(set(seeds)) < len(seeds):
        again = next(seed for seed in seeds if seeds.count(seed) > 1)
        problem = f"{seeds.count(again)} logs of {name} print the seed {again}: they are repeats of one run"
    return Group(name, tuple(run.value for run in scored if run.value is not None), problem=problem)


def _read(path: Path, metric: Metric) -> Run:
    log = RunLog(metric)
    with path.open("rb") as file:
        data = file.read(LOG_BYTES)
    log.feed(data, 0.0)
    log.finish(0.0)
    seed = _SEED.search(data[:SEED_WITHIN])
    hashes = log.started or log.ended or ("", "")
    run = Run(None, "", seed[1].decode() if seed else "", " ".join(hashes).strip())
    if log.started and log.ended and log.started != log.ended:
        return msgspec.structs.replace(run, problem=f"{path.name}: its code was changed while it ran")
    log.started = log.ended = hashes
    verdict = log.verdict(log.exit_code or 0, *hashes)
    if verdict.outcome is not Outcome.VALID or verdict.metrics is None:
        return run
    if verdict.metrics.score <= 0 and metric.name == DEFAULT_NAME:
        problem = f"{path.name}: a val_bpb of {verdict.metrics.score:g} is impossible"
        return msgspec.structs.replace(run, problem=problem)
    return msgspec.structs.replace(run, value=metric.score(verdict.metrics.score))
