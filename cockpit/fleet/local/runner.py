"""Runs one experiment on this machine, in a process of its own that outlives the worker. Started by `fleet.local`.

    python -I local_runner.py FOLDER

FOLDER holds `job.json`. The runner takes `started` (made once: a second runner of the same job leaves at once), prints
the hashes of the code before and after, runs the command with its output in the log, ends it at its time limit or on
SIGTERM, and writes `ended.json`. It holds a lock on `started` while it lives. Nothing but the standard library is
imported: it must start at once.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

FILES = (("train_sha256", "train.py"), ("prepare_sha256", "prepare.py"))
KILL_AFTER_S = 5.0
FULL_BELOW_BYTES = 1 << 16


def main() -> None:
    folder = sys.argv[1]
    cancelled: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: cancelled.append(number))  # before `started` says whom to end
    try:
        started = os.open(os.path.join(folder, "started"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    except FileExistsError:
        return
    fcntl.flock(started, fcntl.LOCK_EX)  # the kernel lets go of it, however this ends
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
        job = json.load(file)
    os.write(started, json.dumps({"pid": os.getpid(), "at": time.time()}).encode())
    os.fsync(started)
    log = os.open(job["log_path"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    source = job["source"]
    whole = say(log, f"COCKPIT_START {hashes(source)}")
    exit_code: int | None = None
    reason, message = "exited", ""
    try:
        child = subprocess.Popen(
            job["command"],
            cwd=source,
            env=job["environment"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        message = f"it could not be started: {error}"
        exit_code = 127
    else:
        note(folder, "child.json", {"pid": child.pid})
        reason, room = watch(child, time.monotonic() + job["time_limit_s"], cancelled, log)
        exit_code = child.returncode
        whole = whole and (room or exit_code == 0)
    whole = say(log, f"COCKPIT_END {hashes(source)} exit={exit_code}") and whole
    os.close(log)
    if not whole and reason == "exited":
        reason, message = "lost", "the disk that holds its log was full while it ran"
    while not note(
        folder, "ended.json", {"exit_code": exit_code, "reason": reason, "message": message, "at": time.time()}
    ):
        time.sleep(1.0)


def watch(child: "subprocess.Popen[bytes]", deadline: float, cancelled: list[int], log: int) -> tuple[str, bool]:
    """Wait for the child; end its whole process group at the deadline or when cancelled.

    Returns why it ended, and whether there was always room for its log: a run that fails for want of it says nothing
    about its code.
    """
    reason, room = "exited", True
    while True:
        room = room and has_room(log)
        try:
            child.wait(timeout=0.1)
            end_group(child.pid, signal.SIGKILL)
            return reason, room and has_room(log)
        except subprocess.TimeoutExpired:
            pass
        if reason == "exited" and (cancelled or time.monotonic() > deadline):
            reason = "cancelled" if cancelled else "timeout"
            end_group(child.pid, signal.SIGTERM)
            deadline = time.monotonic() + KILL_AFTER_S
        elif reason != "exited" and time.monotonic() > deadline:
            end_group(child.pid, signal.SIGKILL)


def end_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def hashes(source: str) -> str:
    found = []
    for label, name in FILES:
        try:
            with open(os.path.join(source, name), "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
        except OSError:
            digest = ""
        found.append(f"{label}={digest}")
    return " ".join(found)


def has_room(log: int) -> bool:
    disk = os.fstatvfs(log)
    return (disk.f_bavail if os.geteuid() else disk.f_bfree) * disk.f_frsize >= FULL_BELOW_BYTES or not disk.f_blocks


def say(log: int, line: str) -> bool:
    """Returns whether the whole line is in the log."""
    data = f"{line}\n".encode()
    try:
        return os.write(log, data) == len(data)
    except OSError:
        return False


def note(folder: str, name: str, what: dict[str, object]) -> bool:
    """Returns whether it is on the disk, which may be full."""
    path = os.path.join(folder, name)
    try:
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(what, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".new", path)
    except OSError:
        return not os.path.isdir(folder)  # gone with its session: nobody will ask
    return True


if __name__ == "__main__":
    main()
