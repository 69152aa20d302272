"""Restricts this process with Landlock, then replaces it by the command of a run. Started by `confinement`.

    python -I landlock.py '{"readable": [...], "writable": [...], "network": false}' COMMAND...

Only the standard library is imported, because this runs before each experiment. The numbers are from Linux's
include/uapi/linux/landlock.h, ABI 6.
"""

import ctypes
import json
import os
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITIES = 64
RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
ALL_FILE_ACCESS = (1 << 16) - 1
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a rule for a file may name; rules for folders may name all."""
READS = EXECUTE | READ_FILE | READ_DIR
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1 << 0, 1 << 1


class Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def main() -> None:
    rules = json.loads(sys.argv[1])
    command = sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    network = 0 if rules["network"] else BIND_TCP | CONNECT_TCP
    wanted = Ruleset(ALL_FILE_ACCESS, network, SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS)
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(wanted), ctypes.sizeof(wanted), 0)
    check(ruleset >= 0, "the kernel refuses a Landlock ruleset")
    for path in rules["readable"]:
        allow(libc, ruleset, path, READS)
    for path in rules["writable"]:
        allow(libc, ruleset, path, ALL_FILE_ACCESS)
    for capability in range(CAPABILITIES):
        # With CAP_PERFMON, root could read the environment of any process. Other users have no capabilities.
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "the kernel refuses no_new_privs")
    check(libc.syscall(RESTRICT_SELF, ruleset, 0) == 0, "the kernel refuses to restrict the run")
    os.close(ruleset)
    os.execvp(command[0], command)


def allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    """Allow `access` below `path`. A path that does not exist needs no rule."""
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    allowed = access if os.path.isdir(path) else access & OF_FILES
    rule = PathBeneath(allowed, parent)
    check(
        libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0) == 0, f"no Landlock rule for {path}"
    )
    os.close(parent)


def check(done: bool, problem: str) -> None:
    """Exit with one sentence if a step failed, so that a run never starts behind an incomplete wall."""
    if not done:
        sys.exit(f"{problem} ({os.strerror(ctypes.get_errno())})")


if __name__ == "__main__":
    main()
