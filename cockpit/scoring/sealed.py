"""The sealed shard of a repository in the shape of karpathy/autoresearch: text of its own hub that no run sees.

It is fetched on the machine that scores runs, and lies beside the folder of their data. Only the standard library is
imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import ast
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ANSWER_WITHIN_S = 30.0


class SealedShardProblem(Exception):
    """There is no sealed shard; the message is one sentence."""


def sealed_shard(repo: Path) -> Path | None:
    """Return the place of the sealed shard; None if prepare.py names no shards.

    It is the newest shard of its hub that lies in no folder of training data, and has no part in the validation.
    """
    last = _constant(repo, "MAX_SHARD")
    if not isinstance(last, int):
        return None
    caches = Path.home() / ".cache"
    data = caches / "autoresearch" / "data"
    names = (f"shard_{number:05d}.parquet" for number in range(last - 1, -1, -1))
    name = next((name for name in names if not (data / name).exists()), "")
    return caches / "autoresearch-sealed" / "upstream" / name if name else None


def fetch(repo: Path, within_s: float) -> Iterator[tuple[int, str]]:
    """Fetch the shard from the repository's own hub, yielding (percent, current step). Raises SealedShardProblem."""
    path, hub = sealed_shard(repo), _constant(repo, "BASE_URL")
    if path is None or not isinstance(hub, str):
        raise SealedShardProblem(f"prepare.py in {repo} names no hub to fetch a sealed shard from")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    until = time.monotonic() + within_s
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.parent.chmod(0o700)
        with urllib.request.urlopen(f"{hub}/{path.name}", timeout=ANSWER_WITHIN_S) as answer, part.open("wb") as file:
            size = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(1 << 20):
                file.write(chunk)
                yield 100 * file.tell() // max(size, file.tell()), f"fetching {path.name}"
                if time.monotonic() > until:
                    raise OSError(f"it did not arrive within {within_s:.0f} s")
            if file.tell() < size:
                raise OSError(f"{file.tell():,} of {size:,} bytes arrived")
        part.replace(path)
    except (OSError, ValueError) as error:
        raise SealedShardProblem(f"the sealed shard {path.name} could not be fetched: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def _constant(repo: Path, name: str) -> object:
    """Return a constant of prepare.py, read without importing it; None if it is computed."""
    try:
        body = ast.parse((repo / "prepare.py").read_text(encoding="utf-8")).body
        for node in body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                found: object = ast.literal_eval(node.value)
                return found
    except (OSError, ValueError, SyntaxError):
        pass
    return None
