"""Runs one experiment on the machine it is on. Started by `fleet.local.fleet`, in a process that outlives the worker,
and by `start` on a node of a cluster.

FOLDER holds `job.json`, out of the run's reach. The runner creates `started`, so that a second runner of the job leaves
at once, and locks it while it lives. It starts the command and copies its output to the log. It ends the run with all
its descendants at its time limit, past a limit of memory, processes, cores or disk, or on SIGTERM. `ended.json` says
how it ended and holds the evidence, which the run cannot write: hashes of its code before and after. Little but the
standard library is imported: it must start at once, also on a node without cockpit.
"""

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

from cockpit.fleet.node.capped_log import FULL, Log
from cockpit.fleet.node.code_evidence import code_evidence, evidence, in_one_line
from cockpit.fleet.node.command import EXITED, LOST, TIMED_OUT, CommandEnd, run
from cockpit.fleet.node.data import fingerprints, write_marks
from cockpit.fleet.node.device_use import DeviceUse
from cockpit.fleet.node.disk import RetryForRoom, may_pass
from cockpit.fleet.node.ending import adopt_orphans
from cockpit.fleet.node.folders import walk
from cockpit.fleet.node.signals import survive_unused_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cockpit.fleet.node.job import CommandJob, RunJob, ScorerJob

SCORE_BYTES = 1 << 16
CODE_SUFFIXES = (
    ".py", ".pyc", ".pyd", ".pyi", ".pyz", ".pth", ".so", ".dll", ".dylib", ".sh", ".toml", ".cfg", ".ini", ".mk",
    ".js", ".cjs", ".mjs", ".ts", ".jl", ".r", ".rb", ".pl", ".pm", ".lua", ".php", ".class", ".jar",
)  # fmt: skip
"""Suffixes of files that a run may not leave for the score command: they could change what it does."""
CODE_NAMES = ("makefile", "gnumakefile", "justfile", "rakefile")
"""Names of such files. Those that begin with a dot are left out too: R runs `.Rprofile`."""
LAST_BYTES, LAST_CHARACTERS = 4096, 300
"""Bytes read of a failed scorer's log, and characters of its last line in the message."""
BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""A text that Linux changes at each start."""
MODEL_SHARE = 0.5
"""Share of the free disk that the copy of a model may take."""
SERVER_FOLDERS = ("scoring", "probing")
CONFIGURATIONS = (".yaml", ".yml", ".toml", ".json")
"""Suffixes of files that the scorer gets beside the code, if a session names them: no text is stored so."""
CREATE_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY


def main() -> None:
    run_job(sys.argv[1], lambda started: None, float("inf"))


def run_job(folder: str, on_start: "Callable[[dict[str, object]], None]", retry_for_s: float) -> "dict[str, object]":
    """Run the job of a folder to its end, once. Returns the note on its end; {} if another runner has taken it.

    `on_start` gets the note on its start, before its command starts. A file that is needed waits `retry_for_s` for room
    on the disk.
    """
    cancelled: list[int] = []
    retry = RetryForRoom(cancelled, retry_for_s)
    signal.signal(signal.SIGTERM, lambda number, frame: cancelled.append(number))  # before `started` names this process
    survive_unused_signals(signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    try:
        started = retry.call(lambda: os.open(os.path.join(folder, "started"), CREATE_NEW, 0o640))
    except FileExistsError:
        return {}
    fcntl.flock(started, fcntl.LOCK_EX)  # the kernel releases it, however this process ends
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
        job: RunJob = json.load(file)
    inputs = retry.call(lambda: HashedInputs(job))
    copy_inputs(job, folder, retry)
    log = retry.call(lambda: Log(job["log_path"]))
    noted = {"pid": os.getpid(), "wall": job["confinement"][0], **times()}
    retry.call(lambda: write_start(started, noted))
    on_start(noted)
    adopt_orphans()
    began = time.monotonic()
    device = DeviceUse(job["environment"].get("CUDA_VISIBLE_DEVICES"))
    end = run(job, retry, log, device)
    device.end()
    wall_s = time.monotonic() - began
    log.close(retry)
    end = if_complete(end, log)
    used = usage(end.sampled_s)
    code, data = retry.call(inputs.code_evidence), retry.call(inputs.data_evidence)
    scores, end = scores_of(job, folder, retry, end)
    proof = {**code, **data, **used, "cut_bytes": log.cut_bytes, "wall_s": wall_s, **scores}
    return write_end(folder, end, proof, log.size_bytes)


def write_end(folder: str, end: CommandEnd, proof: "dict[str, object]", log_bytes: int) -> "dict[str, object]":
    """Write the note on the end of a job, once there is room for it. Returns it."""
    noted = {
        "reason": end.reason, "exit_code": end.exit_code, "message": end.message, "seconds": proof["wall_s"],
        "evidence": proof, "log_bytes": log_bytes, **times(),
    }  # fmt: skip
    while not write_note(folder, "ended.json", noted):
        time.sleep(1.0)
    return noted


class HashedInputs:
    """A job's code and data, hashed before its run, to compare with what they are after it."""

    def __init__(self, job: "RunJob") -> None:
        self._source, self._data = job["source"], job["data"]
        self._named = [job["script"], *job["hashed"]]
        self._code = evidence(self._source, self._named)
        self._fingerprints, self._marks = fingerprints(self._data), write_marks(self._data)

    def code_evidence(self) -> "dict[str, object]":
        return code_evidence(self._code, evidence(self._source, [*self._named, *self._code]))

    def data_evidence(self) -> "dict[str, object]":
        """Return the fingerprints of the data before and now, and the paths that were written to and restored."""
        before, marks = self._fingerprints, self._marks
        after, marks_after = fingerprints(self._data), write_marks(self._data)
        restored = (name for name in marks if marks[name] != marks_after[name] and before[name] == after[name])
        return {"data_before": before, "data_after": after, "data_restored": sorted(restored)}


def scores_of(
    job: "RunJob", folder: str, retry: RetryForRoom, end: CommandEnd
) -> "tuple[dict[str, object], CommandEnd]":
    """Return the words of the scorer and of the score command on a run that succeeded, and its end.

    A score command that is lost loses the run.
    """
    scorer, command = job["scorer"], job.get("score_command")
    rescore = score(scorer, job["source"], folder, retry) if scorer and end.exit_code == 0 else None
    if not command or end.reason != EXITED or end.exit_code != 0:
        return {"rescore": rescore, "scored": None}, end
    scored, output, cut_bytes = run_score_command(command, job, folder, retry)
    if scored.reason == LOST:
        end = end._replace(reason=LOST, message=scored.message)
    told = {**scored._asdict(), "output": output, "cut_bytes": cut_bytes}
    return {"rescore": rescore, "scored": told}, end


def copy_inputs(job: "RunJob", folder: str, retry: RetryForRoom) -> None:
    """Copy the code for the scorer, and the whole folder for the score command, before the run can change them."""
    if job["scorer"]:
        retry.call(lambda: copy_code(job["source"], folder, job["hashed"]))
    if job.get("score_command"):
        scored_in = os.path.join(folder, "scored")
        retry.call(lambda: shutil.copytree(job["writable"], scored_in, symlinks=True, dirs_exist_ok=True))


def usage(sampled_s: float) -> "dict[str, object]":
    """Return the processor time and peak memory of the run's processes."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_s": max(children.ru_utime + children.ru_stime, sampled_s),
        "peak_rss_mb": children.ru_maxrss / 1024,
    }


def if_complete(end: CommandEnd, log: Log) -> CommandEnd:
    """Return the end; a lost one if the output is incomplete, or if a full disk may have failed the command."""
    problem = log.problem or ("" if log.had_room or end.exit_code == 0 else FULL)
    return end._replace(reason=LOST, message=problem) if problem and end.reason == EXITED else end


def times() -> dict[str, object]:
    """Return the time on the wall clock, and on a clock that cannot be set while the system is up."""
    boot = ""
    with contextlib.suppress(OSError), open(BOOT_ID, encoding="ascii") as file:
        boot = file.read().strip()
    steady = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    return {"at": time.time(), "steady": steady, "boot": boot}


def copy_code(source: str, folder: str, named: "Iterable[str]") -> None:
    """Copy the code before it runs: for the trusted side of the scorer, and for each process that holds the model.

    The code is all Python files, and the configurations among the `named` files: a model may be built from one.
    """
    configurations = {os.path.normpath(name) for name in named if name.endswith(CONFIGURATIONS)}
    rooms = [os.path.join(folder, name) for name in ("code", *SERVER_FOLDERS)]
    for where, folders, names in walk(source):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        within = os.path.relpath(where, source)
        code = [
            one for one in names if one.endswith(".py") or os.path.normpath(os.path.join(within, one)) in configurations
        ]
        files = [name for name in code if os.path.isfile(os.path.join(where, name))]
        for room in rooms:
            inside = os.path.join(room, within)
            if files or where == source:
                os.makedirs(inside, exist_ok=True)
            for name in files:
                shutil.copyfile(os.path.join(where, name), os.path.join(inside, name))


def score(scorer: "ScorerJob", source: str, folder: str, retry: RetryForRoom) -> "dict[str, object]":
    """Run the scorer on the model that the run has saved. Returns its score, or the reason why there is none."""
    work, result = os.path.join(folder, "work.json"), os.path.join(folder, "score.json")
    model = os.path.join(source, scorer["model"])
    command: CommandJob = {
        "command": [*scorer["command"], work, result], "source": folder, "environment": scorer["environment"],
        "time_limit_s": scorer["time_limit_s"], "confinement": scorer["confinement"], "limits": scorer["limits"],
    }  # fmt: skip
    try:
        if os.path.isfile(model) and not os.path.islink(model):
            size, most = os.path.getsize(model), int(MODEL_SHARE * shutil.disk_usage(folder).free)
            if size > most:  # by its size: one with holes takes no room until it is copied
                return {
                    "trouble": f"its model of {size >> 20:,} MB is too large to copy: {most >> 20:,} MB are allowed"
                }
            first, second = (os.path.join(folder, name, "model.pt") for name in SERVER_FOLDERS)
            os.replace(model, first)
            retry.call(lambda: shutil.copyfile(first, second))
        retry.call(lambda: write_json(work, scorer["work"]))
        log = retry.call(lambda: Log(os.path.join(folder, "scorer.log")))
        end = run(command, retry, log)
        log.close()
        with open(result, "rb") as found:
            said = json.loads(found.read(SCORE_BYTES), parse_constant=lambda word: None)
        return {name: value for name, value in said.items() if value is not None} | {"scorer_cpu_s": end.sampled_s}
    except FileNotFoundError:
        reason = end.message or f"it ended with {end.exit_code}{last_line(os.path.join(folder, 'scorer.log'))}"
        late = f"it was not done within {scorer['time_limit_s']:.0f} s"
        return {"trouble": f"the scorer gave no score: {late if end.reason == TIMED_OUT else reason}"}
    except (OSError, ValueError, AttributeError) as error:
        return {"trouble": f"the scorer gave no score: {error}"}


def last_line(path: str) -> str:
    """Return the last line of a log, after a colon; empty if there is none."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_BYTES))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return f": {' '.join(lines[-1].split())[-LAST_CHARACTERS:]}" if lines else ""
    return ""


def run_score_command(
    command: "CommandJob", job: "RunJob", folder: str, retry: RetryForRoom
) -> "tuple[CommandEnd, str, int]":
    """Run the score command on the run's outputs, with the code as it was before the run.

    Returns its end, the end of its output, and the number of bytes before that.

    Its output is appended to the run's log for the person. The score is read from the returned output.
    """
    stale = retry.call(lambda: link_outputs(job["writable"], os.path.join(folder, "scored")))
    log = retry.call(lambda: Log(os.path.join(folder, "scored.log")))
    end = run(command, retry, log)
    log.close(retry)
    with open(os.path.join(folder, "scored.log"), "rb") as file:
        skipped = max(0, os.path.getsize(file.name) - SCORE_BYTES)
        file.seek(skipped)
        output = file.read()
    shown = Log(job["log_path"])
    shown.write(b"\n[cockpit: the output of score_command follows]\n")
    if stale:
        shown.write(f"[cockpit: it reads {', '.join(stale[:8])} as committed, not as the run left it]\n".encode())
    shown.write(output)
    shown.close()
    return if_complete(end, log), output.decode("utf-8", "replace"), skipped + log.cut_bytes


def is_code(name: str) -> bool:
    """Return True if a program could run a file of this name, or be changed by it, when it is in its folder."""
    small = name.lower()
    return small.startswith(".") or small.endswith(CODE_SUFFIXES) or small in CODE_NAMES


def link_outputs(source: str, room: str) -> list[str]:
    """Link a run's new files into the folder of its score command. Returns the committed data that the run changed.

    Files of the repository stay as they were before the run. Code, links and hidden folders are left out.
    """
    changed: list[str] = []
    for where, folders, names in walk(source):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        inside = os.path.join(room, os.path.relpath(where, source))
        for name in names:
            path, target = os.path.join(where, name), os.path.join(inside, name)
            if is_code(name) or os.path.islink(path) or not os.path.isfile(path):
                continue
            if os.path.lexists(target):
                now, then = os.lstat(path), os.lstat(target)  # a copy has the time of its original
                if (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
                    changed.append(in_one_line(os.path.relpath(path, source)))
                continue
            try:
                os.makedirs(inside, exist_ok=True)
                os.link(path, target)
            except OSError as error:
                if may_pass(error):
                    raise
    return changed


def write_note(folder: str, name: str, what: "dict[str, object]") -> bool:
    """Write a note for the worker. Returns False if it is not on the disk, which may be full."""
    path = os.path.join(folder, name)
    try:
        write_json(path + ".new", what)
        os.replace(path + ".new", path)
    except OSError:
        return not os.path.isdir(folder)  # the session was deleted: no worker will read it
    return True


def write_start(started: int, noted: "dict[str, object]") -> None:
    """Write the note on a job's start into its lock. Raises OSError."""
    os.pwrite(started, json.dumps(noted).encode(), 0)
    os.fsync(started)


def write_json(path: str, what: object) -> None:
    """Write a file that is on the disk when this returns. Raises OSError."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(what, file)
        file.flush()
        os.fsync(file.fileno())
