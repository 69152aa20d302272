"""Runs a command of a job to its end, with all its descendants, within its limits."""

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from cockpit.fleet.node import system_calls
from cockpit.fleet.node.capped_log import Log
from cockpit.fleet.node.disk import RetryForRoom, may_pass
from cockpit.fleet.node.ending import end_descendants, end_group
from cockpit.fleet.node.task_limit import TaskLimit
from cockpit.fleet.node.usage import Limits

if TYPE_CHECKING:
    from cockpit.fleet.node.device_use import DeviceUse
    from cockpit.fleet.node.job import CommandJob

TIMED_OUT, CANCELLED, OVER_LIMIT, EXITED, LOST = "timeout", "cancelled", "limit", "exited", "lost"
NO_PROGRAM, NOT_STARTED = 127, "it could not be started"
"""The exit code and the first words about a command that could not be started."""
KILL_AFTER_S = 5.0
DRAIN_WITHIN_S = 5.0
LOOK_EVERY_S = 0.1
READ_BYTES = 1 << 20
STOPPED_S = 10.0
"""Seconds between two looks, which are a tenth apart, after which this process was stopped meanwhile."""


class CommandEnd(NamedTuple):
    """The end of a command."""

    reason: str
    exit_code: int
    message: str
    """Why it was ended, or not started, in a sentence."""
    sampled_s: float
    """Processor seconds by samples: the kernel counts no child whose parent ignores its end."""


def run(job: "CommandJob", retry: RetryForRoom, log: Log, device: "DeviceUse | None" = None) -> CommandEnd:
    """Run the command to its end.

    The system calls that its wall leaves open are refused to this process too, from now on.
    """
    system_calls.refuse(system_calls.Confinement(*job["confinement"]))
    limits = Limits(job["limits"], job.get("writable", job["source"]))
    task_limit = TaskLimit(limits.processes)

    def tell(error: OSError) -> None:
        log.write(f"[cockpit waits to start it: {error}]\n".encode())

    try:
        child = retry.call(lambda: start(job, task_limit), job["time_limit_s"], tell)
    except OSError as error:
        task_limit.remove()
        message = f"{NOT_STARTED}: {error}"
        log.write(f"{message}\n".encode())
        return CommandEnd(LOST if may_pass(error) else EXITED, NO_PROGRAM, message, 0.0)
    reason, message = watch(child, job, limits, retry.cancelled, log, device, task_limit)
    if reason == EXITED and (refused := task_limit.exceeded()):
        reason, message = OVER_LIMIT, refused
    task_limit.forbid_more()
    end_descendants(child.pid, task_limit)
    task_limit.remove()
    drain(child, log)
    return CommandEnd(reason, child.returncode, message, limits.processor_s())


def start(job: "CommandJob", task_limit: TaskLimit) -> "subprocess.Popen[bytes]":
    with task_limit.applied():
        return subprocess.Popen(
            job["command"],
            cwd=job["source"],
            env=job["environment"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def watch(
    child: "subprocess.Popen[bytes]", job: "CommandJob", limits: Limits, cancelled: list[int], log: Log,
    device: "DeviceUse | None", task_limit: TaskLimit,
) -> tuple[str, str]:  # fmt: skip
    """Copy output until the child ends; end its group at a limit or when cancelled. Returns (reason, message).

    Limits of what it uses hold in the seconds too that it has to end in. A command that was stopped with this process,
    as all of a machine can be, is lost at its limit: it had less time.
    """
    looked_at = time.monotonic()
    deadline, stopped_s = looked_at + job["time_limit_s"], 0.0
    reason, message = EXITED, ""
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    open_pipe = True
    while child.poll() is None:
        open_pipe = copy(child, log, LOOK_EVERY_S) if open_pipe else wait(child)
        if device is not None and log.at_line_start and (line := device.take()):
            log.write(line)
        now = time.monotonic()
        if now - looked_at > STOPPED_S:
            stopped_s += now - looked_at
        looked_at = now
        over = task_limit.exceeded() or limits.exceeded(os.getpid(), now)
        if over:
            end_group(child.pid, signal.SIGKILL)  # more time would harm others
        if reason == EXITED:
            if cancelled or over or now > deadline:
                reason, message = (CANCELLED, "") if cancelled else (OVER_LIMIT, over) if over else (TIMED_OUT, "")
                if reason == TIMED_OUT and stopped_s:
                    reason, message = LOST, f"it was stopped for {stopped_s:.0f} s, and then past its time limit"
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
    until = time.monotonic() + DRAIN_WITHIN_S
    while time.monotonic() < until and copy(child, log, 0.0):
        assert child.stdout is not None
        if not select.select([child.stdout], [], [], 0.0)[0]:
            return
