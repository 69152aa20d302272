"""`cockpit watch --web`: the read-only screen in a browser, for people who have its address.

Each open page has a screen of its own, as a process. Each request needs the token, which is drawn at the start and is
part of the address. The page's files and its websocket are under a path that is drawn too; the browser sends their
cookie to this path alone. A browser sends cookies to every port of a host, so neither the cookie's name nor its value
serves elsewhere, and a request that another page makes is refused by its Origin.
"""

import asyncio
import hmac
import re
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from html import escape

from aiohttp import web
from textual_serve.server import Server

from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.tui.screens.layout import SMALLEST
from cockpit.tui.web_screen import ScreenProcess

TOKEN_BYTES = 24
PATH_BYTES = 12
SCREENS_AT_MOST = 16
"""Pages open at once. Each has a process of its own."""
MESSAGE_AT_MOST = 64 << 10
"""Bytes of one message of a page: keys, a paste or a size."""
HEARTBEAT_S = 15.0
"""Seconds after which a page that does not answer has left."""
STOP_WITHIN_S = 1.0
KEEP_S = 60.0
"""Seconds that a connection is kept after an answer."""
SILENT_S, SILENT_AT_MOST = 10.0, 64
"""Seconds, and number, of connections that have sent no request: others may fill all that one process can open."""
SWEEP_EVERY_S = 0.5

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
FONT_PX, FONT_LEAST_PX = 16, 8
CELL = 0.61
"""Width of a cell as a share of the font's size."""
FIT_FONT = f"""<script>
      document.getElementById("terminal").dataset.fontSize = Math.max(
        {FONT_LEAST_PX}, Math.min({FONT_PX}, Math.floor(innerWidth / ({SMALLEST[0]} * {CELL})))
      );
    </script>
  </body>"""
"""Makes the font small enough for the narrowest screen that shows all: a phone's page is not wider than the phone."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WatchServer(Server):
    """Serves the watcher's screen of one session to requests that carry `token`."""

    def __init__(self, folder: SessionFolder, host: str, port: int, token: str) -> None:
        self.screen_command = [sys.executable, "-m", "cockpit.tui.web_screen", str(folder.root.absolute())]
        super().__init__("", host, port, title=f"cockpit: watching {folder.name}", public_url="")
        self.token = token
        self.page_path = f"/{secrets.token_urlsafe(PATH_BYTES)}"
        self.page_key = secrets.token_urlsafe(TOKEN_BYTES)
        self.cookie = f"cockpit-{port}"
        self.screens = 0
        self.asking: set[object] = set()
        """Connections that have sent a request."""

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/?token={self.token}"

    async def application(self) -> web.Application:
        made = await self._make_app()
        made.add_routes(
            [
                web.get(f"{self.page_path}/ws", self.handle_websocket),
                web.static(f"{self.page_path}/static", self.statics_path),
            ]
        )
        made.middlewares.append(self.admit)
        made.on_response_prepare.append(_guard)
        return made

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer 403 to a request without the token or the page's cookie, and to a request of another page."""
        self.asking.add(request.protocol)
        if not (self._has_token(request) or self._is_of_page(request)):
            return _refusal("Open the whole address that `cockpit watch --web` printed.\n")
        origin = request.headers.get("Origin")  # browsers always send it with a websocket; other programs send none
        if origin is not None and origin.lower() not in (f"http://{request.host}", f"https://{request.host}"):
            return _refusal("This request comes from another page.\n")
        return await handler(request)

    def _has_token(self, request: web.Request) -> bool:
        return _is_equal(request.query.get("token", ""), self.token)

    def _is_of_page(self, request: web.Request) -> bool:
        in_path = request.path.startswith(f"{self.page_path}/")
        return in_path and _is_equal(request.cookies.get(self.cookie, ""), self.page_key)

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        # The browser knows the address: through a tunnel its port differs.
        self.public_url = f"{request.scheme}://{request.host}{self.page_path}"
        page = await super().handle_index(request)
        assert isinstance(page, web.Response) and page.text is not None
        head = f'<title>{escape(self.title)}</title><meta name="viewport" content="width=device-width" />{NO_ICON}'
        text = ELSEWHERE.sub(head, page.text).replace("Session ended.", "This page has left the session.")
        page.text = text if "fontsize" in request.query else text.replace("</body>", FIT_FONT)
        page.set_cookie(self.cookie, self.page_key, httponly=True, samesite="Strict", path=f"{self.page_path}/")
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        if self.screens >= SCREENS_AT_MOST:
            raise web.HTTPServiceUnavailable(text=f"{SCREENS_AT_MOST} pages are open: close one first\n")
        self.screens += 1
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_AT_MOST)
        screen: ScreenProcess | None = None
        try:
            await socket.prepare(request)
            screen = await ScreenProcess.start(self.screen_command, socket, request.query)
            ways = [asyncio.create_task(screen.show()), asyncio.create_task(screen.listen())]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            try:
                if screen is not None:
                    await asyncio.shield(screen.stop())
            finally:
                self.screens -= 1
        await socket.close()
        return socket

    async def on_startup(self, app: web.Application) -> None:
        print(f"watching at {self.address}")
        print("people with this address can watch and do nothing else; ctrl+c ends it", flush=True)
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            print("! beyond this machine the address travels in the clear: an ssh tunnel is safer", flush=True)


def _is_equal(given: str, key: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), key.encode())


def _refusal(text: str) -> web.Response:
    """Return an answer that ends its connection: open ones could fill all that one process can open."""
    answer = web.Response(status=403, text=text)
    answer.force_close()
    return answer


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
    runner = web.AppRunner(
        await server.application(),
        access_log=None,
        shutdown_timeout=STOP_WITHIN_S,
        keepalive_timeout=KEEP_S,
        lingering_time=STOP_WITHIN_S,
    )
    await runner.setup()
    await web.SockSite(runner, listening).start()
    sweeping = asyncio.create_task(_close_silent(server, runner))
    await ended.wait()
    sweeping.cancel()
    await runner.cleanup()


async def _close_silent(server: WatchServer, runner: web.AppRunner) -> None:
    """Close connections that send no request: after SILENT_S, and the oldest of more than SILENT_AT_MOST."""
    since: dict[web.RequestHandler, float] = {}
    while runner.server is not None:
        now = time.monotonic()
        since = {one: since.get(one, now) for one in runner.server.connections}
        server.asking &= since.keys()
        silent = sorted((one for one in since if one not in server.asking), key=since.__getitem__)
        for number, one in enumerate(silent):
            is_surplus = number < len(silent) - SILENT_AT_MOST
            if (is_surplus or now - since[one] > SILENT_S) and one.transport is not None:
                one.transport.abort()
        await asyncio.sleep(SWEEP_EVERY_S)
