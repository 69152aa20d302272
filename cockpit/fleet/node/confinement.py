"""Confinement of a run on its machine: the available wall, and the command that starts a run behind it.

A confined run sees its own folder, the environment it runs in (read-only), the data it trains on (read-only) and its
own devices. It sees no home, no session, no other run, no network, and no process but its own; all its descendants end
with it. Bubblewrap does all of that. Landlock, which any Linux since 5.13 may have, enforces the file rules, forbids
TCP since 6.7 and signals to other processes since 6.12; process names stay visible. Elsewhere a run is unconfined, and
is reported as such.
"""

from __future__ import annotations

import ctypes
import json
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cockpit.fleet.node import system_calls

LANDLOCK = Path(__file__).with_name("landlock.py")
TRIAL_S = 5.0
LANDLOCK_ABI_AT_LEAST = 6
"""Below this version a run could signal other processes, so the kernel counts as unable to confine."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/sys")
"""Programs and libraries of the machine."""
SYSTEM_FILES = (
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/passwd",
    "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/ssl", "/etc/ca-certificates", "/etc/pki", "/etc/OpenCL",
    "/etc/vulkan", "/etc/glvnd", "/etc/os-release",
)  # fmt: skip
"""Files that libraries read, without those that hold passwords or keys."""
KERNEL_FILES = (
    "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi", "/proc/mtrr",
)  # fmt: skip
"""Files of the machine's kernel, which root may write without any capability."""
OF_A_PREFIX = (
    "bin", "candidates", "condabin", "envs", "ghc", "include", "install", "installs", "lib", "lib64", "libexec",
    "plugins", "py", "pyenv.d", "shims", "toolchains", "tools", "version", "versions",
)  # fmt: skip
"""The programs and libraries of a hidden folder of the home, such as ~/.local or ~/.cargo, which holds keys too."""
FIRST_PROCESS = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
"""The first process behind bubblewrap, which collects the others. Bubblewrap's own would lead to its program:
/proc/1/exe is a file outside the wall, whose mode its owner may change."""
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
"""A word by which `env` sets a variable."""
GPU_DEVICES = ("nvidia*", "dri", "kfd", "accel", "infiniband")
"""Below /dev."""


class Wall(str, Enum):  # noqa: UP042  # a node's Python may be older than StrEnum
    """How a run is confined."""

    BUBBLEWRAP = system_calls.BUBBLEWRAP
    LANDLOCK = system_calls.LANDLOCK
    NONE = system_calls.UNCONFINED

    def __str__(self) -> str:
        return str(self.value)


class Available(NamedTuple):
    """The strongest wall of this machine, and the reason why a stronger one cannot be used."""

    wall: Wall
    reason: str = ""


class Sandbox(NamedTuple):
    """The files and rights that a run has behind its wall. Every path is absolute."""

    folder: Path
    """The run's own, writable."""
    readable: tuple[Path, ...] = ()
    """Its environment and its data."""
    network: bool = False
    hidden: tuple[Path, ...] = ()
    """Folders that it must not see, even inside readable ones."""
    shared_memory: bool = True
    """Behind Landlock /dev/shm is this machine's; behind bubblewrap it is the run's own."""
    fixed: tuple[Path, ...] = ()
    """Files in `folder` that bubblewrap makes read-only. Landlock has no exceptions inside a writable folder."""
    writable: tuple[Path, ...] = ()
    """Other files and folders that it may change, such as an agent's login."""
    ends_with_starter: bool = True
    """Bubblewrap kills it when the thread that started it ends."""
    nests: bool = False
    """True if it may make user namespaces, as an agent's own sandbox does."""
    start: Path | None = None
    """The folder that the command starts in, inside `folder`; None for `folder` itself."""


@cache
def available() -> Available:
    """Find the strongest wall that this machine allows, by a trial: containers often forbid namespaces."""
    if platform.system() != "Linux":
        return Available(Wall.NONE, f"{platform.system()} cannot confine a run")
    why = _bubblewrap_problem()
    if not why:
        return Available(Wall.BUBBLEWRAP)
    abi = landlock_abi()
    if abi >= LANDLOCK_ABI_AT_LEAST:
        return Available(Wall.LANDLOCK, why)
    have = f"Landlock {abi} of this kernel is too old" if abi > 0 else "this kernel has no Landlock"
    return Available(Wall.NONE, f"{why}; {have}")


def _bubblewrap_problem() -> str:
    """Return the reason why bubblewrap cannot be used, in a clause; empty if it can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    try:
        tried = _try_bubblewrap()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start ({type(error).__name__})"
    if tried.returncode:
        said = tried.stderr.strip().splitlines()[:1]
        return f"bubblewrap is not allowed to confine here ({said[0].removeprefix('bwrap: ') if said else 'no reason'})"
    return ""


def _try_bubblewrap(*more: str) -> subprocess.CompletedProcess[str]:
    trial = ["bwrap", "--unshare-all", *more, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    return subprocess.run(trial, capture_output=True, text=True, timeout=TRIAL_S, check=False)


@cache
def _can_forbid_namespaces() -> bool:
    """Return True if bubblewrap can keep a run from user namespaces: since 0.8, and without setuid."""
    try:
        return _try_bubblewrap("--unshare-user", "--disable-userns").returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def landlock_abi() -> int:
    """Return the version of Landlock in this kernel; 0 if it has none or forbids it."""
    create_ruleset, version_flag = 444, 1
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(create_ruleset, None, 0, version_flag)))


def program_of(words: Sequence[str]) -> str:
    """Return the program that a command starts; empty if `env` finds it in a way of its own."""
    if not words or Path(words[0]).name != "env":
        return next(iter(words), "")
    rest = next((at for at, word in enumerate(words[1:], 1) if not ASSIGNMENT.fullmatch(word)), len(words))
    is_found_elsewhere = rest == len(words) or any(word.startswith("PATH=") for word in words[1:rest])
    return "" if is_found_elsewhere or words[rest].startswith("-") else words[rest]


def environment_paths(command: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders that hold the program of `command` and what it loads, links resolved.

    For this Python and for a virtual environment: its prefix and the installation it was made from. `env` counts with
    the program that it starts.
    """
    names = (command[0], program_of(command))
    programs = [Path(program) for name in names if (program := shutil.which(name)) is not None]
    found = {Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))}
    for path in (path for program in programs for path in (program, program.resolve())):
        found |= {path.parent.parent, *_base_of(path.parent.parent)}
    home = Path.home().resolve()
    found = {path for one in found for path in (one, one.resolve())}
    outside = (path for path in found if not home.is_relative_to(path.resolve()))  # ~/bin/python: not all of ~
    return tuple(sorted(part for path in outside for part in parts_of_prefix(path)))


def parts_of_prefix(prefix: Path) -> Iterator[Path]:
    """Yield the folders of an installation: all of it, or the programs and libraries of a hidden folder of the home."""
    made = (prefix / "pyvenv.cfg").exists() or (prefix / "conda-meta").exists()
    if made or not prefix.name.startswith(".") or prefix.parent.resolve() != Path.home().resolve():
        yield prefix
    else:
        yield from (prefix / name for name in OF_A_PREFIX if (prefix / name).exists())


def _base_of(prefix: Path) -> Iterable[Path]:
    """Return the installation that a virtual environment was made from."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() == "home":
            yield Path(value.strip()).parent
            yield Path(value.strip()).resolve().parent


def confined(command: Sequence[str], sandbox: Sandbox, wall: Wall) -> list[str]:
    """Return the command that starts `command` in its folder behind the wall; `command` itself without a wall."""
    if wall is Wall.BUBBLEWRAP:
        return [*_bubblewrap(sandbox), "--", *FIRST_PROCESS, *command]
    if wall is Wall.LANDLOCK:
        return [sys.executable, "-I", str(LANDLOCK), json.dumps(_rules(sandbox)), *command]
    return list(command)


def _bubblewrap(sandbox: Sandbox) -> list[str]:
    arguments = ["bwrap", "--unshare-all", "--as-pid-1", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev"]
    if not sandbox.nests and _can_forbid_namespaces():
        arguments += ["--unshare-user", "--disable-userns"]
    for name in KERNEL_FILES:
        arguments += ["--ro-bind-try", name, name]
    if sandbox.ends_with_starter:
        arguments.append("--die-with-parent")
    if sandbox.network:
        arguments += ["--share-net", "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"]
    for path in _system():
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        else:
            arguments += ["--ro-bind", str(path), str(path)]
    for path in _system_files():
        arguments += ["--ro-bind-try", str(path), str(path)]
    for path in _gpu_devices():
        arguments += ["--dev-bind-try", str(path), str(path)]
    arguments += ["--tmpfs", "/tmp", "--tmpfs", "/dev/shm"]
    readable = _outermost(sandbox.readable)
    hidden = [path for path in sandbox.hidden if path.is_dir() and _is_below(path, (*readable, *_system()))]
    for path in readable:
        arguments += ["--ro-bind-try", str(path), str(path)]
    for path in hidden:
        arguments += ["--tmpfs", str(path)]
    for path in sandbox.readable:
        if _is_below(path, hidden):
            arguments += ["--ro-bind-try", str(path), str(path)]
    for path in sandbox.writable:
        arguments += ["--bind-try", str(path), str(path)]
    arguments += ["--bind", str(sandbox.folder), str(sandbox.folder)]
    for path in sandbox.fixed:
        arguments += ["--ro-bind", str(path), str(path)]
    return [*arguments, "--chdir", str(sandbox.start or sandbox.folder)]


def _rules(sandbox: Sandbox) -> dict[str, object]:
    """Return the rules for landlock.py."""
    seen = (part for path in (*_system(), *sandbox.readable) for part in _without(path, sandbox.hidden))
    readable = [*seen, *_system_files(), Path("/proc")]
    if sandbox.network:
        readable.append(Path("/etc/resolv.conf"))
    writable = [
        sandbox.folder,
        *sandbox.writable,
        *map(Path, ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")),
    ]
    shared = [Path("/dev/shm")] if sandbox.shared_memory else []
    return {
        "readable": [str(path) for path in readable],
        "writable": [str(path) for path in (*writable, *shared, *_gpu_devices())],
        "network": sandbox.network,
    }


def _system() -> list[Path]:
    return [path for path in map(Path, SYSTEM) if path.exists()]


def _system_files() -> list[Path]:
    return [path for path in map(Path, SYSTEM_FILES) if path.exists()]


def _gpu_devices() -> list[Path]:
    return sorted(path for pattern in GPU_DEVICES for path in Path("/dev").glob(pattern))


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _without(path: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Yield the path, or the parts of it that hold none of the hidden folders: a Landlock rule has no exceptions."""
    if not any(one.is_relative_to(path) for one in hidden):
        yield path
    elif path not in hidden and path.is_dir():
        for child in sorted(path.iterdir()):
            yield from _without(child, hidden)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that are not inside another one or inside a system folder."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda one: len(one.parts)):
        if not any(path.is_relative_to(one) for one in (*kept, *map(Path, SYSTEM))):
            kept.append(path)
    return kept
