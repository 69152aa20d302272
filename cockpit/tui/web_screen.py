"""The process of one web page's screen, and its end. It lives no longer than its page or its server.

A page cannot make it large: its size is clamped, what the page sends is bounded, and its memory has a limit.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

from aiohttp import web

WIDTH_AT_MOST, HEIGHT_AT_MOST = 640, 200
"""Cells of the largest screen: a 4K monitor with a small font. One of 5000x5000 took 865 MB."""
DATA_AT_MOST = 1 << 30
"""Bytes of data that one screen's process may take."""
PACKET_AT_MOST = 16 << 20
INPUT_AT_ONCE, INPUT_A_S = 128 << 10, 8_000
"""Bytes that a page may send at once, and a second after that. The screen keeps all keys that it has not handled."""
RESIZE_EVERY_S = 0.1
"""Seconds between two sizes that reach the screen; of the sizes between them the last one does."""
QUIT_WITHIN_S = 2.0
PARENT_LOOK_S = 1.0

_PR_SET_PDEATHSIG = 1


def clamped(value: object, default: int, most: int) -> int:
    """Return a size that a page names as a number of cells from 1 to `most`."""
    try:
        number = int(value) if isinstance(value, str | int | float) else default
    except (ValueError, OverflowError):
        number = default
    return max(1, min(most, number))


class Allowance:
    """The bytes that a page may send without a wait."""

    def __init__(self) -> None:
        self._left = float(INPUT_AT_ONCE)
        self._at = 0.0

    def wait_s(self, size: int, now: float) -> float:
        """Take the bytes of a message. Returns the seconds until they are allowed."""
        regained = (now - self._at) * INPUT_A_S
        self._left, self._at = min(float(INPUT_AT_ONCE), self._left + regained) - size, now
        return max(0.0, -self._left / INPUT_A_S)


class ScreenProcess:
    """The screen that one websocket drives, as a process group of its own."""

    def __init__(self, process: asyncio.subprocess.Process, socket: web.WebSocketResponse) -> None:
        self._process = process
        self._socket = socket
        self._resized_at = 0.0
        self._wanted: tuple[int, int] | None = None
        self._resizing: asyncio.Task[None] | None = None
        self._allowance = Allowance()

    @classmethod
    async def start(cls, command: list[str], socket: web.WebSocketResponse, query: Any) -> "ScreenProcess":
        """Start the screen in the size that the page asks for."""
        environment = os.environ | {
            "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
            "TEXTUAL_COLOR_SYSTEM": "truecolor",
            "TERM_PROGRAM": "textual",
            "COLUMNS": str(clamped(query.get("width"), 80, WIDTH_AT_MOST)),
            "ROWS": str(clamped(query.get("height"), 24, HEIGHT_AT_MOST)),
            "COCKPIT_SERVER": str(os.getpid()),
            "OPENBLAS_NUM_THREADS": "1",  # each of its threads would reserve memory of its own
            "OMP_NUM_THREADS": "1",
        }
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, start_new_session=True
        )
        return cls(process, socket)

    async def show(self) -> None:
        """Pass what the screen paints to the page, until the screen ends or the page leaves."""
        assert self._process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
            await self._process.stdout.readuntil(b"__GANGLION__\n")
            while True:
                kind = await self._process.stdout.readexactly(1)
                size = int.from_bytes(await self._process.stdout.readexactly(4), "big")
                if size > PACKET_AT_MOST:
                    return
                payload = await self._process.stdout.readexactly(size)
                if kind == b"D":
                    await self._socket.send_bytes(payload)
                elif kind == b"M" and json.loads(payload).get("type") == "exit":
                    return

    async def listen(self) -> None:
        """Pass what the page sends to the screen, until the page leaves. Messages that cannot be read are left out."""
        async for message in self._socket:
            if wait_s := self._allowance.wait_s(len(message.data or ""), time.monotonic()):
                await asyncio.sleep(wait_s)
            if message.type is not web.WSMsgType.TEXT:
                continue
            try:
                kind, *rest = json.loads(message.data)
                data = rest[0] if rest else None
            except (ValueError, TypeError, RecursionError):
                continue
            if kind == "stdin" and isinstance(data, str):
                await self._send(b"D", data.encode("utf-8", "replace"))
            elif kind == "resize" and isinstance(data, dict):
                self._resize(data)
            elif kind == "ping" and isinstance(data, str | int | float):
                await self._socket.send_json(["pong", data])
            elif kind in ("blur", "focus"):
                await self._send_meta({"type": kind})

    async def stop(self) -> None:
        """End the process, with everything it started, and wait for it."""
        if self._resizing is not None:
            self._resizing.cancel()
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(QUIT_WITHIN_S):
                await self._send_meta({"type": "quit"})
                await self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _resize(self, data: dict[str, object]) -> None:
        self._wanted = clamped(data.get("width"), 80, WIDTH_AT_MOST), clamped(data.get("height"), 24, HEIGHT_AT_MOST)
        if self._resizing is None or self._resizing.done():
            self._resizing = asyncio.create_task(self._resize_soon())

    async def _resize_soon(self) -> None:
        await asyncio.sleep(max(0.0, self._resized_at + RESIZE_EVERY_S - time.monotonic()))
        self._resized_at = time.monotonic()
        assert self._wanted is not None
        width, height = self._wanted
        await self._send_meta({"type": "resize", "width": width, "height": height})

    async def _send_meta(self, data: dict[str, object]) -> None:
        await self._send(b"M", json.dumps(data).encode())

    async def _send(self, kind: bytes, payload: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await self._process.stdin.drain()


def end_with_server() -> None:
    """Make this process end with the server that started it, also one that was killed."""
    server = int(os.environ.get("COCKPIT_SERVER", "0"))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(PARENT_LOOK_S)
        os.kill(os.getpid(), signal.SIGKILL)

    if server:
        threading.Thread(target=watch, daemon=True, name="server").start()


def main() -> None:
    """Run the screen of one page. Its terminal is this process's standard input and output, in textual-serve's
    protocol."""
    end_with_server()
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_DATA, (DATA_AT_MOST, DATA_AT_MOST))
    from cockpit.session.ledger_errors import LedgerError
    from cockpit.tui.app import run

    for name in ("TMUX", "SSH_CONNECTION", "COCKPIT_SERVER"):  # they describe the server, not the browser
        os.environ.pop(name, None)
    try:
        status = run(Path(sys.argv[1]), watch=True)
    except LedgerError as error:
        sys.exit(str(error))
    sys.exit(status)


if __name__ == "__main__":
    main()
