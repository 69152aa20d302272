"""Refuse a confined run the system calls that reach other processes and that its wall leaves open.

    python -I system_calls.py '["landlock", false, true]' COMMAND...

Kernel keyrings have no namespace: a run could read the keys of the person's login, and leave keys for the next run. A
virtual machine's sockets to its host have none either. An unmapped System V segment counts as the memory of no process,
so it escapes the memory limit. The kernel's log, in which a crash leaves an address, its tables and its counters have
no namespace either, and many kernels let any process use them. Behind Landlock, System V and POSIX queues are shared
with the machine, the limits and priorities of other processes and the attributes of files can be set, and only TCP is
closed.

The numbers are from Linux's include/uapi: unistd, seccomp.h, bpf_common.h and audit.h. Only the standard library is
imported, because this runs before each experiment.
"""

import ctypes
import errno
import json
import os
import shutil
import stat
import struct
import sys
from typing import NamedTuple

BUBBLEWRAP, LANDLOCK, UNCONFINED = "bubblewrap", "landlock", "unconfined"
PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER, WITHOUT_SPEED_LIMITS = 1, 1 << 2
"""The flag keeps kernels before 5.16 from slowing a process with a filter by their Spectre mitigations."""
JOIN_NEW_KEYRING = 1
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCK_STREAM, SOCK_TYPES, IPPROTO_TCP = 1, 0xF, 6
MSG_FASTOPEN = 0x2000_0000
"""Data with the first packet of TCP, which connects without `connect`."""

NUMBER_AT, MACHINE_AT = 0, 4
"""Places in the kernel's record of a call, in bytes."""
LOCKS = (5, 6, 7, 36, 37, 38, 1024, 1025, 1026)
"""Commands of `fcntl` for locks, leases and notices."""

LOAD, AND, RETURN = 0x20, 0x54, 0x06
IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT = 0x15, 0x35, 0x45
ALLOW, FAIL_WITH = 0x7FFF_0000, 0x0005_0000
OTHER_FORM = 0x4000_0000
"""On x86, numbers from here on are calls in the form of x32."""


class Confinement(NamedTuple):
    """The parts of a process's confinement that decide on its system calls."""

    wall: str
    network: bool = False
    """True if it may use the network."""
    locks: bool = True
    """False to pretend that file locks are taken: two processes that read the same files could signal by locks."""


class Machine(NamedTuple):
    """The numbers of calls on one kind of processor."""

    audit: int
    keyrings: dict[str, int]
    shared: dict[str, int]
    attributes: dict[str, int]
    others: dict[str, int]
    sockets: dict[str, int]
    locks: dict[str, int]
    notices: dict[str, int]
    kernel: dict[str, int]


MACHINES = {
    "x86_64": Machine(
        0xC000_003E,
        {"add_key": 248, "request_key": 249, "keyctl": 250},
        {"shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240},
        {"setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "setxattrat": 463},
        {"setpriority": 141, "ioprio_set": 251, "prlimit64": 302},
        {"socket": 41, "sendto": 44, "sendmsg": 46, "sendmmsg": 307, "io_uring_setup": 425, "seccomp": 317},
        {"flock": 73, "fcntl": 72},
        {"inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300},
        {"syslog": 103, "bpf": 321, "perf_event_open": 298},
    ),
    "aarch64": Machine(
        0xC000_00B7,
        {"add_key": 217, "request_key": 218, "keyctl": 219},
        {"shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180},
        {"setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "setxattrat": 463},
        {"setpriority": 140, "ioprio_set": 30, "prlimit64": 261},
        {"socket": 198, "sendto": 206, "sendmsg": 211, "sendmmsg": 269, "io_uring_setup": 425, "seccomp": 277},
        {"flock": 32, "fcntl": 25},
        {"inotify_init1": 26, "fanotify_init": 262},
        {"syslog": 116, "bpf": 280, "perf_event_open": 241},
    ),
}


def main() -> None:
    refuse(Confinement(*json.loads(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])


def refusing(confinement: Confinement) -> list[str]:
    """Return the command prefix that starts a command with these calls refused."""
    return [sys.executable, "-I", __file__, json.dumps(confinement)]


def refuse(confinement: Confinement) -> None:
    """Refuse the calls to this process and its children, if they are confined. This cannot be undone.

    Nothing is refused on processors other than x86_64 and aarch64. If bubblewrap needs setuid, a filter would take that
    privilege away: the process then gets only a keyring of its own.
    """
    machine = MACHINES.get(os.uname().machine) if sys.platform == "linux" else None
    if machine is None or confinement.wall == UNCONFINED:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(machine.keyrings["keyctl"], JOIN_NEW_KEYRING, None)
    if confinement.wall == BUBBLEWRAP and _needs_privilege("bwrap"):
        return
    code = program(machine, confinement)
    steps = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(steps))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.syscall(machine.sockets["seccomp"], SET_MODE_FILTER, WITHOUT_SPEED_LIMITS, filter_)


def _needs_privilege(program: str) -> bool:
    found = shutil.which(program)
    return bool(os.geteuid() and found and os.stat(found).st_mode & stat.S_ISUID)


def program(machine: Machine, confinement: Confinement) -> bytes:
    """Return the filter, in steps of 8 bytes."""
    shares_machine = confinement.wall == LANDLOCK  # it gives the run no namespaces of its own
    absent = _fail(errno.ENOSYS)
    numbers = [*machine.keyrings.values(), *machine.kernel.values(), machine.shared["shmget"]]
    parts = [
        _step(LOAD, MACHINE_AT), _step(IF_EQUAL, machine.audit, 1, 0), absent,
        _step(LOAD, NUMBER_AT), _step(IF_AT_LEAST, OTHER_FORM, 0, 1), absent,
    ]  # fmt: skip
    if shares_machine:
        numbers += [number for name, number in machine.shared.items() if name != "shmget"]
        for number in machine.attributes.values():
            parts += _for_call(number, [_fail(errno.EOPNOTSUPP)])
        for name in ("setpriority", "ioprio_set"):
            of_another = [_argument(1), _step(IF_EQUAL, 0, 1, 0), _fail(errno.EPERM)]
            parts += _for_call(machine.others[name], of_another)
        parts += _for_call(machine.others["prlimit64"], _limit_of_another())
    if not confinement.network:
        numbers.append(machine.sockets["io_uring_setup"])  # the filter does not see its calls
        parts += _for_call(machine.sockets["socket"], _only_tcp() if shares_machine else _only_in_namespaces())
    if shares_machine and not confinement.network:
        for name, flags in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
            fast = [_argument(flags), _step(IF_ANY_BIT, MSG_FASTOPEN, 0, 1), _fail(errno.EACCES)]
            parts += _for_call(machine.sockets[name], fast)
    if not confinement.locks:
        numbers += machine.notices.values()
        parts += _for_call(machine.locks["flock"], [_fail(0)])
        parts += _for_call(machine.locks["fcntl"], _pretended(LOCKS))
    for number in numbers:
        parts += _for_call(number, [absent])
    return b"".join([*parts, _step(RETURN, ALLOW)])


def _only_tcp() -> list[bytes]:
    """Return the steps that refuse all sockets but local ones and TCP, which Landlock closes."""
    return [
        _argument(0),
        _step(IF_EQUAL, AF_UNIX, 10, 0), _step(IF_EQUAL, AF_NETLINK, 9, 0),
        _step(IF_EQUAL, AF_INET, 1, 0), _step(IF_EQUAL, AF_INET6, 0, 6),
        _argument(1), _step(AND, SOCK_TYPES), _step(IF_EQUAL, SOCK_STREAM, 0, 3),
        _argument(2), _step(IF_EQUAL, 0, 2, 0), _step(IF_EQUAL, IPPROTO_TCP, 1, 0),
        _fail(errno.EACCES),
    ]  # fmt: skip


def _only_in_namespaces() -> list[bytes]:
    """Return the steps that refuse sockets of kinds without a network namespace, such as those to a virtual machine's
    host."""
    kinds = (AF_UNIX, AF_NETLINK, AF_INET, AF_INET6)
    return [
        _argument(0),
        *(_step(IF_EQUAL, kind, len(kinds) - at, 0) for at, kind in enumerate(kinds)),
        _fail(errno.EACCES),
    ]


def _limit_of_another() -> list[bytes]:
    """Return the steps that refuse to set a limit of another process. The third argument is the new limit's address."""
    return [
        _argument(0), _step(IF_EQUAL, 0, 5, 0),
        _argument(2), _step(IF_EQUAL, 0, 0, 2),
        _argument(2, upper=True), _step(IF_EQUAL, 0, 1, 0),
        _fail(errno.EPERM),
    ]  # fmt: skip


def _pretended(commands: tuple[int, ...]) -> list[bytes]:
    """Return the steps that pretend success if a call's second argument is one of `commands`."""
    last = len(commands) - 1
    compared = [_step(IF_EQUAL, command, last - at, at == last) for at, command in enumerate(commands)]
    return [_argument(1), *compared, _fail(0)]


def _for_call(number: int, steps: list[bytes]) -> list[bytes]:
    """Return the steps, guarded to apply to one call only."""
    return [_step(LOAD, NUMBER_AT), _step(IF_EQUAL, number, 0, len(steps)), *steps]


def _argument(index: int, upper: bool = False) -> bytes:
    """Return the step that loads the lower or upper half of an argument. Both processors are little-endian."""
    return _step(LOAD, 16 + 8 * index + 4 * upper)


def _fail(number: int) -> bytes:
    """Return the step that fails the call. With 0 it pretends success."""
    return _step(RETURN, FAIL_WITH | number)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one step of a filter. `if_true` and `if_false` count the steps to skip."""
    return struct.pack("HBBI", code, if_true, if_false, value)


if __name__ == "__main__":
    main()
