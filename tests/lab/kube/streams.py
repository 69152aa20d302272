"""Streams between kubectl and a pod: exec by the WebSocket protocol `v5.channel.k8s.io`."""

from __future__ import annotations

import asyncio
import contextlib
import json

from aiohttp import WSMsgType, web

from tests.lab.kube.pods import PodProcess

STDIN, STDOUT, STDERR, ERROR, CLOSE = 0, 1, 2, 3, 255
"""The first byte of a message names its channel."""
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


async def execute(request: web.Request, process: PodProcess) -> web.WebSocketResponse:
    """Run a command in a pod, with its streams on a WebSocket."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0)
    await socket.prepare(request)
    running = await process.execute(
        request.query.getall("command", []), request.query.get("stdin", "") in ("true", "1")
    )
    feeding = asyncio.create_task(_feed(socket, running))
    assert running.stdout is not None and running.stderr is not None
    try:
        await asyncio.gather(_pump(socket, running.stdout, STDOUT), _pump(socket, running.stderr, STDERR))
        code = await running.wait()
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(bytes([ERROR]) + json.dumps(_status(code)).encode())
    finally:
        feeding.cancel()
        await socket.close()
    return socket


async def _pump(socket: web.WebSocketResponse, stream: asyncio.StreamReader, channel: int) -> None:
    while data := await stream.read(1 << 16):
        with contextlib.suppress(ConnectionError):  # kubectl has gone: the command runs on, as in a real pod
            await socket.send_bytes(bytes([channel]) + data)


async def _feed(socket: web.WebSocketResponse, running: asyncio.subprocess.Process) -> None:
    """Give the command what kubectl sends, until that ends."""
    stdin = running.stdin
    async for message in socket:
        if stdin is None or message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == STDIN and data:
            with contextlib.suppress(ConnectionError):
                stdin.write(data)
                await stdin.drain()
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            stdin.close()
    if stdin is not None:
        stdin.close()


def _status(code: int) -> dict[str, object]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
