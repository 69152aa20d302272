"""The transcript: the whole exchange with a model in the session's folder, one JSON object a line; and its rendering.

A text that was given before (program.md, train.py) is written once and then named by its digest, which keeps a long
night readable. No text contains the API key; the writer replaces it all the same.
"""

import hashlib
import json
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from cockpit.agent.views.quoting import plain
from cockpit.session.plain_file import make_way, open_plain, open_to_append

TRANSCRIPT_MODE = 0o640
_INDENT = "    "


class Transcript:
    def __init__(self, path: Path, written_digests: set[str], secret: str = "") -> None:
        """Open a transcript. `written_digests` holds digests of the texts written so far; new ones are added to it."""
        self._path = path
        self._secret = secret
        self._written_digests = written_digests

    def write(self, kind: str, at: float, **fields: Any) -> None:
        """Append one line atomically; several writers are safe."""
        text = json.dumps({"kind": kind, "at": round(at, 3), **fields}, ensure_ascii=False, default=str)
        if self._secret:
            text = text.replace(self._secret, "[key]")
        make_way(self._path)
        with open_to_append(self._path, TRANSCRIPT_MODE) as file:
            file.write((text + "\n").encode("utf-8", "replace"))

    def given(self, at: float, name: str, text: str) -> None:
        """Write a text that the model was given, called `name`: in full the first time, then by its digest."""
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
        if digest in self._written_digests:
            self.write("given", at, name=name, same_as=digest)
            return
        self._written_digests.add(digest)
        self.write("given", at, name=name, digest=digest, text=text)


def rendered(path: Path, turns: int = 0) -> Iterator[str]:
    """Render the last `turns` turns for reading, line by line; 0 for all.

    All text is plain: no escapes, no control characters. An incomplete last line is left out.
    """
    lines = _lines(path)
    if turns:
        starts = [number for number, entry in enumerate(lines) if entry["kind"] == "turn"]
        lines = lines[starts[-turns] :] if len(starts) >= turns else lines
    for entry in lines:
        yield from _entry(entry)


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    try:
        with TextIOWrapper(open_plain(path), encoding="utf-8", errors="replace") as file:
            for text in file:
                try:
                    entry = json.loads(text)
                except ValueError:
                    continue
                if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
                    found.append(entry)
    except FileNotFoundError:
        return []
    return found


def _entry(entry: dict[str, Any]) -> Iterator[str]:
    match entry["kind"]:
        case "turn":
            yield ""
            yield plain(
                f"=== turn {entry.get('ask')}, hour {entry.get('hour')}: {entry.get('reason')},"
                f" {entry.get('arms')} arms, {entry.get('model')}"
            )
        case "given":
            same = entry.get("same_as")
            yield f"--- given: {plain(str(entry.get('name')))}" + (f", unchanged ({same})" if same else "")
            yield from _indented(entry.get("text", ""))
        case "thought":
            yield "--- thinks"
            yield from _indented(entry.get("text", ""))
        case "said":
            yield "--- says"
            yield from _indented(entry.get("text", ""))
        case "call":
            yield f"--- calls {plain(str(entry.get('tool')))}"
            yield from _indented(json.dumps(entry.get("input"), ensure_ascii=False, indent=2))
        case "result":
            yield "--- gets an error" if entry.get("failed") else "--- gets"
            yield from _indented(entry.get("text", ""))
        case "heard":
            yield f"--- hears {plain(str(entry.get('author')))}"
            yield from _indented(entry.get("text", ""))
        case "used":
            yield (
                f"--- used {entry.get('input_tokens')} tokens in, {entry.get('cache_read_tokens')} from the cache,"
                f" {entry.get('cache_write_tokens')} written, {entry.get('output_tokens')} out: ${entry.get('usd')}"
            )
        case "trouble" | "end" as kind:
            yield f"--- {kind}: {plain(str(entry.get('text')))}"


def _indented(text: object) -> Iterator[str]:
    for part in plain(str(text)).split("\n"):
        yield _INDENT + part
