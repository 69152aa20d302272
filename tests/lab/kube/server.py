"""The process of the API server's stand-in: `python -m tests.lab.kube.server ROOT H100 H200`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from aiohttp import web

from tests.lab.kube import config
from tests.lab.kube.api import LINE_BYTES, Api
from tests.lab.kube.control import ControlPlane


async def serve(root: Path, h100: int, h200: int) -> None:
    """Serve until SIGTERM, then end all pods."""
    plane = ControlPlane(root, config.layout(h100, h200))
    runner = web.AppRunner(Api(plane).application(), max_line_size=LINE_BYTES, max_field_size=LINE_BYTES)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", config.API_PORT).start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    scheduling = asyncio.create_task(plane.schedule())
    await asyncio.wait({scheduling, asyncio.create_task(ended.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await plane.close()
    if scheduling.done():
        scheduling.result()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:4])))
