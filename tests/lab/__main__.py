"""The lab by hand: `python -m tests.lab up`, then `eval "$(python -m tests.lab env)"` and `sky launch ...`."""

from __future__ import annotations

import argparse
import shlex
import sys

from tests.lab.cluster import Lab
from tests.lab.processes import LabError


def main() -> int:
    """Exit status 0, or 1 with one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the nodes, Slurm and SkyPilot's API server")
    up.add_argument("--h100", type=int, default=3, help="nodes with an H100 (default 3)")
    up.add_argument("--h200", type=int, default=1, help="nodes with an H200 (default 1)")
    for name, what in {
        "kill": "a node dies, with all that ran on it",
        "revive": "a killed node comes back, empty",
        "cut": "unplug a node's network",
        "join": "plug it in again",
    }.items():
        commands.add_parser(name, help=what).add_argument("node")
    commands.add_parser("slurm", help="nodes and jobs as Slurm sees them")
    commands.add_parser("env", help="print the environment in which `sky` finds the lab")
    commands.add_parser("down", help="stop everything and remove every trace")
    chosen = parser.parse_args()
    try:
        if chosen.command == "up":
            lab = Lab(chosen.h100, chosen.h200)
            lab.up()
            print("\n".join(f"{name} {state}" for name, state in lab.node_states().items()))
            return 0
        lab = Lab.running()
        match chosen.command:
            case "slurm":
                print(lab.on_head("sinfo", "--Node"), lab.on_head("squeue"), sep="\n", end="")
            case "env":
                print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in lab.env().items()))
            case "down":
                lab.down()
            case event:
                getattr(lab, event)(chosen.node)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
