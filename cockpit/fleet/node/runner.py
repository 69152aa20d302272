"""Runs one experiment on the machine it is on. Started by `fleet.local.fleet`, in a process that outlives the worker,
and by `start` on a node of a cluster.

FOLDER holds `job.json`, out of the run's reach. The runner creates `started`, so that a second runner of the job leaves
at once, and locks it while it lives. It starts the command and copies its output to the log. It ends the run with all
its descendants at its time limit, past a limit of memory, processes, cores or disk, or on SIGTERM. `ended.json` says
how it ended and holds the evidence, which the run cannot write: hashes of its code before and after. Little but the
standard library is imported: it must start at once, also on a node without cockpit.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from cockpit.fleet.node import system_calls
from cockpit.fleet.node.capped_log import FULL, Log
from cockpit.fleet.node.data import fingerprints, write_marks
from cockpit.fleet.node.device_use import DeviceUse
from cockpit.fleet.node.disk import RetryForRoom, may_pass
from cockpit.fleet.node.signals import survive_unused_signals
from cockpit.fleet.node.task_limit import TaskLimit
from cockpit.fleet.node.usage import Limits, descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Hashes = dict[str, tuple[str, tuple[int, ...]]]

KILL_AFTER_S = 5.0
REAP_WITHIN_S = 5.0
SCORE_BYTES = 1 << 16
CODE_SUFFIXES = (
    ".py", ".pyc", ".pyd", ".pyi", ".pyz", ".pth", ".so", ".dll", ".dylib", ".sh", ".toml", ".cfg", ".ini", ".mk",
    ".js", ".cjs", ".mjs", ".ts", ".jl", ".r", ".rb", ".pl", ".pm", ".lua", ".php", ".class", ".jar",
)  # fmt: skip
"""Suffixes of files that a run may not leave for the score command: they could change what it does."""
CODE_NAMES = ("makefile", "gnumakefile", "justfile", "rakefile")
"""Names of such files. Those that begin with a dot are left out too: R runs `.Rprofile`."""
READ_BYTES = 1 << 20
LAST_BYTES, LAST_CHARACTERS = 4096, 300
"""Bytes read of a failed scorer's log, and characters of its last line in the message."""
LOOK_EVERY_S = 0.1
BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""A text that Linux changes at each start."""
MODEL_SHARE = 0.5
"""Share of the free disk that the copy of a model may take."""
CODE_FILES_AT_MOST = 2_000
"""Python files of a run's folder that are hashed beside those that were there before it."""
CODE_BYTES_AT_MOST = 1 << 30
"""Bytes that are hashed of all of them."""
SERVER_FOLDERS = ("scoring", "probing")
CREATE_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY
TIMED_OUT, CANCELLED, OVER_LIMIT, EXITED, LOST = "timeout", "cancelled", "limit", "exited", "lost"
PR_SET_CHILD_SUBREAPER = 36


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
        job = json.load(file)
    before = evidence(job["source"], [job["script"], *job.get("hashed", ())])
    data_before, marks = fingerprints(job.get("data", {})), write_marks(job.get("data", {}))
    copy_inputs(job, folder, retry)
    log = retry.call(lambda: Log(job["log_path"]))
    noted = {"pid": os.getpid(), "wall": job["confinement"][0], **times()}
    retry.call(lambda: write_start(started, noted))
    on_start(noted)
    adopt_orphans()
    began = time.monotonic()
    device = DeviceUse(job["environment"].get("CUDA_VISIBLE_DEVICES"))
    ended = run(job, retry, log, device)
    device.end()
    ended["seconds"] = wall_s = time.monotonic() - began
    log.close(retry)
    ended |= incomplete_output(log, ended)
    used = usage(float(str(ended.pop("sampled_s", 0.0))))
    after = evidence(job["source"], [job["script"], *job.get("hashed", ()), *before])
    rescore = score(job, folder, retry) if job.get("scorer") and ended["exit_code"] == 0 else None
    scored = None
    if job.get("score_command") and ended["reason"] == EXITED and ended["exit_code"] == 0:
        scored = run_score_command(job, folder, retry)
        if scored["reason"] == LOST:
            ended |= {"reason": LOST, "message": scored["message"]}
    ended["evidence"] = {
        **code_evidence(before, after),
        **data_evidence(job, data_before, marks),
        **used,
        "cut_bytes": log.cut_bytes,
        "wall_s": wall_s,
        "rescore": rescore,
        "scored": scored,
    }
    ended = {**ended, **times()}
    while not write_note(folder, "ended.json", ended):
        time.sleep(1.0)
    return ended


def copy_inputs(job: "dict[str, object]", folder: str, retry: RetryForRoom) -> None:
    """Copy the code for the scorer, and the whole folder for the score command, before the run can change them."""
    if job.get("scorer"):
        retry.call(lambda: copy_code(str(job["source"]), folder))
    if job.get("score_command"):
        scored_in = os.path.join(folder, "scored")
        retry.call(lambda: shutil.copytree(str(job["writable"]), scored_in, symlinks=True, dirs_exist_ok=True))


def usage(sampled_s: float) -> "dict[str, object]":
    """Return the processor time and peak memory of the run's processes.

    `sampled_s` are processor seconds by samples: the kernel counts no child whose parent ignores its end.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_s": max(children.ru_utime + children.ru_stime, sampled_s),
        "peak_rss_mb": children.ru_maxrss / 1024,
    }


def code_evidence(before: "Hashes", after: "Hashes") -> "dict[str, object]":
    """Return the hashes of the code before and after the run, and the files written in between."""
    return {
        "before": {name: digest for name, (digest, _) in before.items()},
        "after": {name: digest for name, (digest, _) in after.items()},
        "changed": sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
    }


def data_evidence(job: "dict[str, object]", before: "dict[str, str]", marks: "dict[str, str]") -> "dict[str, object]":
    """Return the fingerprints of the data before and now, and the paths that were written to and restored."""
    paths = job.get("data", {})
    assert isinstance(paths, dict)
    after, marks_after = fingerprints(paths), write_marks(paths)
    restored = (name for name in marks if marks[name] != marks_after[name] and before[name] == after[name])
    return {"data_before": before, "data_after": after, "data_restored": sorted(restored)}


def incomplete_output(log: Log, ended: "dict[str, object]") -> "dict[str, object]":
    """Return `lost` and why for a command whose output is incomplete, or that a full disk may have failed; else {}."""
    problem = log.problem or ("" if log.had_room or ended["exit_code"] == 0 else FULL)
    return {"reason": LOST, "message": problem} if problem and ended["reason"] == EXITED else {}


def times() -> dict[str, object]:
    """Return the time on the wall clock, and on a clock that cannot be set while the system is up."""
    boot = ""
    with contextlib.suppress(OSError), open(BOOT_ID, encoding="ascii") as file:
        boot = file.read().strip()
    steady = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    return {"at": time.time(), "steady": steady, "boot": boot}


def copy_code(source: str, folder: str) -> None:
    """Copy the code before it runs: for the trusted side of the scorer, and for each process that holds the model."""
    for name in ("code", *SERVER_FOLDERS):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for file in os.listdir(source):
            if file.endswith(".py") and os.path.isfile(os.path.join(source, file)):
                shutil.copyfile(os.path.join(source, file), os.path.join(folder, name, file))


def score(job: "dict[str, object]", folder: str, retry: RetryForRoom) -> "dict[str, object]":
    """Run the scorer on the model that the run has saved. Returns its score, or the reason why there is none."""
    scorer = job["scorer"]
    assert isinstance(scorer, dict)
    work, result = os.path.join(folder, "work.json"), os.path.join(folder, "score.json")
    model = os.path.join(str(job["source"]), scorer["model"])
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
        ended = run(scorer | {"command": [*scorer["command"], work, result], "source": folder}, retry, log)
        log.close()
        with open(result, "rb") as found:
            said = json.loads(found.read(SCORE_BYTES), parse_constant=lambda word: None)
        return {name: value for name, value in said.items() if value is not None} | {"scorer_cpu_s": ended["sampled_s"]}
    except FileNotFoundError:
        reason = (
            ended["message"] or f"it ended with {ended['exit_code']}{last_line(os.path.join(folder, 'scorer.log'))}"
        )
        late = f"it was not done within {scorer['time_limit_s']:.0f} s"
        return {"trouble": f"the scorer gave no score: {late if ended['reason'] == TIMED_OUT else reason}"}
    except (OSError, ValueError, AttributeError) as error:
        return {"trouble": f"the scorer gave no score: {error}"}


def last_line(path: str) -> str:
    """Return the last line of a log, after a colon; empty if there is none."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_BYTES))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return f": {' '.join(lines[-1].split())[-LAST_CHARACTERS:]}" if lines else ""
    return ""


def run_score_command(job: "dict[str, object]", folder: str, retry: RetryForRoom) -> "dict[str, object]":
    """Run the score command on the run's outputs, with the code as it was before the run. Returns how it ended.

    Its output is appended to the run's log for the person. The score is read from the returned output.
    """
    command = job["score_command"]
    assert isinstance(command, dict)
    stale = link_outputs(str(job["writable"]), os.path.join(folder, "scored"))
    log = retry.call(lambda: Log(os.path.join(folder, "scored.log")))
    ended = run(command, retry, log)
    log.close(retry)
    ended |= incomplete_output(log, ended)
    with open(os.path.join(folder, "scored.log"), "rb") as file:
        file.seek(max(0, os.path.getsize(file.name) - SCORE_BYTES))
        output = file.read()
    shown = Log(str(job["log_path"]))
    shown.write(b"\n[cockpit: the output of score_command follows]\n")
    if stale:
        shown.write(f"[cockpit: it reads {', '.join(stale[:8])} as committed, not as the run left it]\n".encode())
    shown.write(output)
    shown.close()
    return ended | {"output": output.decode("utf-8", "replace")}


def is_code(name: str) -> bool:
    """Return True if a program could run a file of this name, or be changed by it, when it is in its folder."""
    small = name.lower()
    return small.startswith(".") or small.endswith(CODE_SUFFIXES) or small in CODE_NAMES


def link_outputs(source: str, room: str) -> list[str]:
    """Link a run's new files into the folder of its score command. Returns the committed data that the run changed.

    Files of the repository stay as they were before the run. Code, links and hidden folders are left out.
    """
    changed: list[str] = []
    for where, folders, names in os.walk(source):
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
            with contextlib.suppress(OSError):
                os.makedirs(inside, exist_ok=True)
                os.link(path, target)
    return changed


def run(
    job: "dict[str, object]", retry: RetryForRoom, log: Log, device: "DeviceUse | None" = None
) -> "dict[str, object]":
    """Run the command to its end. Returns reason, exit code and message.

    The system calls that its wall leaves open are refused to this process too, from now on.
    """
    system_calls.refuse(system_calls.Confinement(*job["confinement"]))  # type: ignore[misc]

    limits = Limits(job)
    task_limit = TaskLimit(limits.processes)

    def start() -> "subprocess.Popen[bytes]":
        with task_limit.applied():
            begun: subprocess.Popen[bytes] = subprocess.Popen(
                job["command"],  # type: ignore[call-overload]
                cwd=job["source"],
                env=job["environment"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return begun

    try:
        child = retry.call(
            start,
            float(str(job["time_limit_s"])),
            lambda error: log.write(f"[cockpit waits to start it: {error}]\n".encode()),
        )
    except OSError as error:
        task_limit.remove()
        message = f"it could not be started: {error}"
        log.write(f"{message}\n".encode())
        return {"exit_code": 127, "reason": LOST if may_pass(error) else EXITED, "message": message, "sampled_s": 0.0}
    reason, message = watch(child, job, limits, retry.cancelled, log, device, task_limit)
    if reason == EXITED and (refused := task_limit.exceeded()):
        reason, message = OVER_LIMIT, refused
    task_limit.forbid_more()
    end_descendants(child.pid, task_limit)
    task_limit.remove()
    drain(child, log)
    return {"exit_code": child.returncode, "reason": reason, "message": message, "sampled_s": limits.processor_s()}


def watch(
    child: "subprocess.Popen[bytes]", job: "dict[str, object]", limits: "Limits", cancelled: list[int], log: Log,
    device: "DeviceUse | None", task_limit: TaskLimit,
) -> tuple[str, str]:  # fmt: skip
    """Copy output until the child ends; end its group at a limit or when cancelled. Returns (reason, message).

    Limits of what it uses hold in the seconds too that it has to end in.
    """
    deadline = time.monotonic() + float(str(job["time_limit_s"]))
    reason, message = EXITED, ""
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    open_pipe = True
    while child.poll() is None:
        open_pipe = copy(child, log, LOOK_EVERY_S) if open_pipe else wait(child)
        if device is not None and log.at_line_start and (line := device.take()):
            log.write(line)
        now = time.monotonic()
        over = task_limit.exceeded() or limits.exceeded(os.getpid(), now)
        if over:
            end_group(child.pid, signal.SIGKILL)  # more time would harm others
        if reason == EXITED:
            if cancelled or over or now > deadline:
                reason, message = (CANCELLED, "") if cancelled else (OVER_LIMIT, over) if over else (TIMED_OUT, "")
                end_group(child.pid, signal.SIGTERM)
                deadline = now + KILL_AFTER_S
        elif now > deadline:
            end_group(child.pid, signal.SIGKILL)
        log.had_room = log.had_room and log.has_room()
    return reason, message


def copy(child: "subprocess.Popen[bytes]", log: Log, wait_s: float) -> bool:
    """Copy the child's output for `wait_s` at most. Returns False once its output is closed."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], wait_s)
    if not ready:
        return True
    try:
        data = os.read(child.stdout.fileno(), READ_BYTES)
    except BlockingIOError:
        return True
    log.write(data)
    return bool(data)


def wait(child: "subprocess.Popen[bytes]") -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(LOOK_EVERY_S)
    return False


def drain(child: "subprocess.Popen[bytes]", log: Log) -> None:
    """Copy the rest of the pipe; its writers have ended."""
    until = time.monotonic() + REAP_WITHIN_S
    while time.monotonic() < until and copy(child, log, 0.0):
        assert child.stdout is not None
        if not select.select([child.stdout], [], [], 0.0)[0]:
            return


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, so that none outlives the run."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(group: int, task_limit: TaskLimit) -> None:
    """Kill the run's group, and every descendant that left it, and collect them."""
    end_group(group, signal.SIGKILL)
    until = time.monotonic() + REAP_WITHIN_S
    while time.monotonic() < until:
        left = {*descendants(os.getpid())[1:], *task_limit.remaining()} - {os.getpid()}
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not left:
            return
        time.sleep(0.01)


def end_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def evidence(source: str, named: "Iterable[str]") -> "Hashes":
    """Return the named files and the Python files at the top of a run's folder: name to (sha256, marks of a write).

    A write changes a file's ctime, which cannot be set, so code that was edited and restored is found too. The number
    and size of the files are bounded. Only regular files have a hash.
    """
    found: Hashes = {}
    left = CODE_BYTES_AT_MOST
    names = sorted({*named})
    with contextlib.suppress(OSError):
        names += sorted(name for name in os.listdir(source) if name.endswith(".py"))[:CODE_FILES_AT_MOST]
    for name in names:
        path = os.path.join(source, name)
        with contextlib.suppress(OSError, ValueError):
            if (known := readable(name)) not in found:
                status = os.lstat(path)
                marks = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                hashed, used = digest(path, left)
                found[known], left = (hashed, marks), left - used
    return found


def digest(path: str, most_bytes: int) -> "tuple[str, int]":
    """Return (SHA-256, bytes) of a file; a text instead of the hash if it is not one or too large. Raises OSError."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return "not a file", 0
        if status.st_size > most_bytes:
            return "too large", 0
        found, used = hashlib.sha256(), 0
        while used <= most_bytes and (data := file.read(READ_BYTES)):
            found.update(data)
            used += len(data)
        return found.hexdigest(), used


def readable(name: str) -> str:
    """Return a file's name as text, with an escape for each byte that is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def in_one_line(name: str) -> str:
    """Return a file's name as text that can be shown, with a question mark for each character that cannot."""
    return "".join(one if one.isprintable() else "?" for one in readable(name))


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
