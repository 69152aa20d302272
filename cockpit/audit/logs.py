"""Audit a folder of run logs: `e0042.1.log` is a run of e0042. Each program claims to beat the best before it."""

import re
from pathlib import Path
from statistics import fmean

import msgspec

from cockpit.audit.claims import Audit, AuditError, Finding, Group, Judgement, judged, problem_of
from cockpit.core.model import Outcome
from cockpit.fleet.run_log import RunLog

LOG_BYTES = 64 << 20
_REPEAT = re.compile(r"(?:[._-](?:seed|run|s|r)?\d+)?\.(?:log|txt|out)$", re.IGNORECASE)
SUFFIXES = (".log", ".txt", ".out")
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


def audit_logs(folder: Path) -> Audit:
    """Judge each program of the folder, in the order of their names, against the best one before. Raises AuditError."""
    found: dict[str, list[Run]] = {}
    silent = []
    for path in sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file()):
        run = _read(path)
        found.setdefault(_REPEAT.sub("", path.name), []).append(run)
        if run.value is None and not run.problem:
            silent.append(path.name)
    groups = [_group(name, runs) for name, runs in found.items()]
    groups = [group for group in groups if group.values or group.problem]
    if not groups:
        raise AuditError(f"no log in {folder} prints a val_bpb: logs end in {', '.join(SUFFIXES)}")
    best: Group | None = None
    findings = []
    for group in groups:
        problem = problem_of(group)
        if best is not None and (problem or fmean(group.values) < fmean(best.values)):
            findings.append(judged(group, best))
        elif problem and len(groups) > 1:
            findings.append(Finding(f"{group.name}, the first program", Judgement.INVALID, problem))
        if not problem and (best is None or fmean(group.values) < fmean(best.values)):
            best = group
    if not findings:
        raise AuditError(f"{folder} claims no gain: {_nothing_claimed(groups)}{_left_out(silent)}")
    return Audit(findings, [f"{len(groups)} programs were read{_left_out(silent)}"])


def _nothing_claimed(groups: list[Group]) -> str:
    """Return why no program of these claims to be better than another, in a clause."""
    first = groups[0]
    if len(groups) > 1:
        return f"none of its {len(groups)} programs scores better than the first, {first.name}"
    if problem := problem_of(first):
        return problem
    runs = "its one run has" if len(first.values) == 1 else f"its {len(first.values)} runs are of one program and have"
    return f"{runs} nothing to be compared with; add the logs of another program"


def _left_out(silent: list[str]) -> str:
    """Return how many logs have no score, in a clause that follows another; empty for none."""
    if not silent:
        return ""
    names = ", ".join(silent[:LOGS_NAMED]) + (" and others" if len(silent) > LOGS_NAMED else "")
    were = "was" if len(silent) == 1 else "were"
    return f"; {len(silent)} without a val_bpb or of a failed run {were} left out: {names}"


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


def _read(path: Path) -> Run:
    log = RunLog()
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
    if verdict.metrics.score <= 0:
        problem = f"{path.name}: a val_bpb of {verdict.metrics.score:g} is impossible"
        return msgspec.structs.replace(run, problem=problem)
    return msgspec.structs.replace(run, value=verdict.metrics.score)
