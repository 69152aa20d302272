"""`cockpit watch --web`: the read-only screen in a browser, for people who have its address.

textual-serve runs a screen of its own, as a process, for every open page. Here each request needs a token, which is
drawn at the start and is part of the address. The page keeps it as a cookie for its files and its websocket.
"""

import asyncio
import hmac
import os
import re
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from textual_serve.server import Server

from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.sqlite_file import LedgerError

TOKEN_BYTES = 24
MOST_SCREENS = 16
"""The most pages open at once. Each has a process of its own."""
STOP_WITHIN_S = 1.0

GUARDS = {
    # The address is the key: it must not be sent to other sites, and no other page may frame this one.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'"
    ),
}

ELSEWHERE = re.compile(r'<link\s+rel="stylesheet"\s+href="https://[^"]*"\s*/>')
"""A font from another host. The browser's own font is enough, and the browser may be offline."""
NO_ICON = '<link rel="icon" href="data:," />'

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WatchServer(Server):
    """Serves the watcher's screen of one session to requests that carry `token`."""

    def __init__(self, folder: SessionFolder, host: str, port: int, token: str) -> None:
        command = shlex.join([sys.executable, "-m", "cockpit.tui.web", str(folder.root.absolute())])
        super().__init__(command, host, port, title=f"cockpit: watching {folder.name}", public_url="")
        self.token = token
        self.cookie = f"cockpit-{port}"
        self.screens = 0

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/?token={self.token}"

    async def application(self) -> web.Application:
        made = await self._make_app()
        made.middlewares.append(self.admit)
        made.on_response_prepare.append(_guard)
        return made

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer 403 to any request without the token."""
        given = request.query.get("token", "") or request.cookies.get(self.cookie, "")
        if not hmac.compare_digest(given.encode(errors="replace"), self.token.encode()):
            return web.Response(status=403, text="Open the whole address that `cockpit watch --web` printed.\n")
        return await handler(request)

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        # The browser knows the address: through a tunnel its port differs.
        self.public_url = f"{request.scheme}://{request.host}"
        page = await super().handle_index(request)
        assert isinstance(page, web.Response) and page.text is not None
        page.text = ELSEWHERE.sub(NO_ICON, page.text).replace("Session ended.", "This page has left the session.")
        page.set_cookie(self.cookie, self.token, httponly=True, samesite="Strict", path="/")
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        if self.screens >= MOST_SCREENS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_SCREENS} pages are open: close one first\n")
        self.screens += 1
        try:
            return await super().handle_websocket(request)
        finally:
            self.screens -= 1

    async def on_startup(self, app: web.Application) -> None:
        print(f"watching at {self.address}")
        print("people with this address can watch and do nothing else; ctrl+c ends it", flush=True)
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            print("! beyond this machine the address travels in the clear: an ssh tunnel is safer", flush=True)


async def _guard(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(GUARDS)


def serve(folder: SessionFolder, host: str, port: int) -> int:
    """Serve until interrupted. Returns the exit status. Raises LedgerError when there is nothing to read."""
    LedgerReader(folder).close()
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        print(f"cockpit: {host} port {port} cannot be listened on ({error}): give another --port", file=sys.stderr)
        return 1
    server = WatchServer(folder, host, listening.getsockname()[1], secrets.token_urlsafe(TOKEN_BYTES))
    asyncio.run(_until_interrupted(server, listening))
    return 0


async def _until_interrupted(server: WatchServer, listening: socket.socket) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    runner = web.AppRunner(await server.application(), access_log=None, shutdown_timeout=STOP_WITHIN_S)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    await ended.wait()
    await runner.cleanup()


def main() -> None:
    """Run the screen of one page. Its terminal is this process's standard input and output, in textual-serve's
    protocol."""
    from cockpit.tui.app import run

    for name in ("TMUX", "SSH_CONNECTION"):  # they describe the terminal that serves, not the browser
        os.environ.pop(name, None)
    try:
        status = run(Path(sys.argv[1]), watch=True)
    except LedgerError as error:
        sys.exit(str(error))
    sys.exit(status)


if __name__ == "__main__":
    main()
