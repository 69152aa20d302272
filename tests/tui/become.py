"""Run Python as another Unix user: `python become.py UID GID CODE -m cockpit watch …`, started by root.

The interpreter and the packages may lie in folders that only root can enter. A descriptor of such a folder leads there
without the path, and gives the other user no further rights in it. CODE holds a copy of the cockpit package, because
its style sheet is found by its real path.
"""

import os
import sys
import sysconfig


def reach(folder: str) -> str:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    os.set_inheritable(descriptor, True)
    return f"/proc/self/fd/{descriptor}"


def main() -> None:
    user, group, code, *arguments = sys.argv[1:]
    base = reach(sys.base_prefix)
    packages = reach(sysconfig.get_path("purelib"))
    environment = {
        "TERM": os.environ.get("TERM", ""),
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONHOME": base,
        "PYTHONPATH": f"{code}{os.pathsep}{packages}",
        "LD_LIBRARY_PATH": f"{base}/lib",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    python = f"{base}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    os.chdir("/")
    os.setgroups([int(group)])
    os.setresgid(int(group), int(group), int(group))
    os.setresuid(int(user), int(user), int(user))
    os.execve(python, [python, *arguments], environment)


if __name__ == "__main__":
    main()
