"""The signed lines of a runner on a node, as a fake cluster prints them."""

import json
import time
from pathlib import Path

from cockpit.fleet.node.signed import END, START, signed_line


def start_line(key: str, wall: str = "bubblewrap", at: float = 0.0) -> str:
    return signed_line(key, START, {"pid": 1, "at": at or time.time(), "wall": wall})


def end_line(key: str, exit_code: int = 0, at: float = 0.0) -> str:
    evidence: dict[str, object] = {"before": {}, "after": {}, "changed": []}
    body = {"at": at or time.time(), "reason": "exited", "exit_code": exit_code, "message": "", "evidence": evidence}
    return signed_line(key, END, body)


def staged_key(workdir: Path, name: str) -> str:
    """Return the key in the order that came with a job."""
    return str(json.loads((workdir / "runners" / name / "order.json").read_text())["key"])
