"""A real Chromium, driven by its DevTools protocol: pages at the size of a desktop or a phone, and pictures of them."""

import asyncio
import base64
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

DESKTOP, PHONE = (1400, 900), (390, 844)
STARTS_WITHIN_S = 90.0
SHOWS_WITHIN_S = 90.0
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")


class Tab:
    """An open page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.errors: list[str] = []
        """The exceptions of the page's scripts."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and wait for its answer."""
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            said = await self._socket.receive_json(timeout=SHOWS_WITHIN_S)
            if said.get("method") == "Runtime.exceptionThrown":
                self.errors.append(str(said["params"]["exceptionDetails"]))
            if said.get("id") == number:
                assert "error" not in said, said
                return dict(said["result"])

    async def open(self, address: str, size: tuple[int, int]) -> None:
        """Go to an address in a window of this size; one of a phone's width is a phone's."""
        phone = size[0] < 600
        await self.call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1,
                        mobile=phone)  # fmt: skip
        await self.call("Runtime.enable")
        await self.call("Page.navigate", url=address)

    async def value(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        return (await self.call("Runtime.evaluate", expression=script, returnByValue=True))["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        async with asyncio.timeout(SHOWS_WITHIN_S):
            while not await self.value(script):
                await asyncio.sleep(0.1)

    async def picture(self, path: Path) -> None:
        shot = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def tab(profile: Path) -> AsyncIterator[Tab]:
    """Start a browser with a profile of its own, and give a page of it. Skips where it does not start."""
    process = subprocess.Popen(
        ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = profile / "DevToolsActivePort"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STARTS_WITHIN_S):
                while not (told.exists() and len(told.read_text().split()) == 2):
                    await asyncio.sleep(0.1)
        if not told.exists():
            pytest.skip("chromium does not start here")
        port = int(told.read_text().split()[0])
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        process.kill()
        process.wait()
