"""`cockpit watch --web`, by HTTP and websocket: the screen for people with the address, nothing for others."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from cockpit.cli.arguments import port as port_argument
from cockpit.tui.web_screen import DATA_AT_MOST, INPUT_A_S, INPUT_AT_ONCE, Allowance, ScreenProcess
from tests.shown import Shown
from tests.tui import stories
from tests.tui.terminal import ROOT
from tests.worker.sessions import wait_for

pytestmark = pytest.mark.anyio

WIDTH, HEIGHT = 120, 34
SIZE = f"width={WIDTH}&height={HEIGHT}"
PAGE_BYTES_AT_MOST = 150 << 20
ADDRESS = re.compile(r"watching at (http://(127\.0\.0\.1:\d+)/\?token=([\w-]{32}))\n")


class Site:
    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "cockpit", "watch", str(folder), "--web", "--port", "0"]
        env = os.environ | {"PYTHONPATH": str(ROOT), "TMUX": "/nowhere,1,0"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = ADDRESS.fullmatch(said)
        assert found, said
        self.address, self.host, self.token = found.groups()

    def url(self, path: str, token: str = "") -> str:
        return f"http://{self.host}{path}" + (f"?token={token}" if token else "")

    def screens(self) -> list[psutil.Process]:
        return [
            child
            for child in psutil.Process(self.process.pid).children(True)
            if "cockpit.tui.web_screen" in words(child)
        ]


def words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(stories.night().write(tmp_path_factory.mktemp("web")))
    yield made
    made.process.send_signal(signal.SIGINT)
    try:
        assert made.process.wait(30) == 0
    finally:
        made.process.kill()


class Page:
    """An open page, as the terminal that its socket feeds."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._shown = Shown(WIDTH, HEIGHT)

    async def press(self, keys: str) -> None:
        await self._socket.send_json(["stdin", keys])

    async def until(self, *wanted: str, never: tuple[str, ...] = ()) -> str:
        """Wait until every text of `wanted` is shown, and none of `never` before. Returns the screen."""
        try:
            async with asyncio.timeout(60):
                async for message in self._socket:
                    assert message.type == aiohttp.WSMsgType.BINARY, message
                    self._shown.take(message.data)
                    text = self._shown.text()
                    assert not any(word in text for word in never), text
                    if all(word in text for word in wanted):
                        return text
        except TimeoutError:
            pass
        raise AssertionError(f"{wanted} did not come; it shows\n{self._shown.text()}")


async def test_everything_is_refused_without_the_token(site: Site) -> None:
    wait_for(lambda: not site.screens(), 30, "the screens of pages before to end")
    async with aiohttp.ClientSession() as client:
        for path in ("/", "/ws", "/static/js/textual.js", "/static/", "/download/x", "/nothing"):
            for token in ("", "x" * 32, site.token[:-1], site.token + "x", "é"):
                async with client.get(site.url(path, token)) as answer:
                    assert answer.status == 403, (path, token)
                    assert site.token not in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(site.url("/ws"))
        assert refused.value.status == 403
        cookie = {"Cookie": f"cockpit-{site.host.partition(':')[2]}=wrong"}
        async with client.get(site.url("/static/js/textual.js"), headers=cookie) as answer:
            assert answer.status == 403
    assert site.screens() == []


async def test_the_address_opens_a_page_with_its_files_and_socket(site: Site) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        async with client.get(site.address) as answer:
            assert answer.status == 200
            page = await answer.text()
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Strict" in answer.headers["Set-Cookie"]
        assert "<title>cockpit: watching night</title>" in page and '<meta name="viewport"' in page
        # Every part of the page comes from this server: the browser may be offline.
        linked = re.findall(r'(?:href|src|url)\s*[=(]\s*"([^"]+)"', page)
        assert len(linked) >= 4 and {urlsplit(link).netloc for link in linked} == {site.host, ""}
        (script,) = re.findall(r'<script src="([^"]+)"', page)
        async with client.get(script) as answer:
            assert answer.status == 200
        (socket,) = re.findall(r'data-session-websocket-url="([^"]+)"', page)
        assert urlsplit(socket).netloc == site.host
        async with client.ws_connect(f"{socket}?{SIZE}") as opened:
            screen = Page(opened)
            await screen.until("WATCHING", "gpu-16", "clusters", never=("approve",))
            await screen.press("?")
            await screen.until("In clusters")
    wait_for(lambda: not site.screens(), 30, "the page's screen to end with it")


async def test_a_page_cannot_act_or_write(site: Site) -> None:
    url = f"{site.url('/ws', site.token)}&{SIZE}"
    async with aiohttp.ClientSession() as client, client.ws_connect(url) as opened:
        page = Page(opened)
        await page.until("gpu-16")
        await page.press("3s1aAxHEmi?")
        await page.until("In clusters", never=("Save the log", "Cancel"))
    folder = Path(words(psutil.Process(site.process.pid))[-4])
    assert not (folder / "inbox.db").exists()


async def test_the_cookie_opens_its_own_page_alone(site: Site) -> None:
    """Browsers send a cookie to every port of its host: its name, path and value belong to this server's page."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as client, client.get(site.address) as answer:
        cookie = answer.headers["Set-Cookie"]
        (socket,) = re.findall(r'data-session-websocket-url="([^"]+)"', await answer.text())
    name, value, path = re.fullmatch(r"([^=]+)=([^;]+);.*Path=([^;]+).*", cookie).groups()  # type: ignore[union-attr]
    assert name == f"cockpit-{site.host.partition(':')[2]}"
    assert path == urlsplit(socket).path.removesuffix("ws") and len(path) > 12
    assert value != site.token
    async with aiohttp.ClientSession(headers={"Cookie": f"{name}={value}"}) as client:
        for refused in ("/", "/ws", "/static/js/textual.js", "/download/x"):
            async with client.get(site.url(refused)) as answer:
                assert answer.status == 403, refused
        async with client.get(site.url("/", value)) as answer:
            assert answer.status == 403, "it is not the token either"
        async with client.get(site.url(f"{path}static/js/textual.js")) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://evil.example", "null", "http://127.0.0.1", ""])
async def test_another_pages_request_is_refused_with_the_cookie_and_with_the_token(site: Site, origin: str) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        async with client.get(site.address) as answer:
            (socket,) = re.findall(r'data-session-websocket-url="([^"]+)"', await answer.text())
        for url in (socket, site.url("/ws", site.token)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(url, headers={"Origin": origin})
            assert refused.value.status == 403
        async with client.ws_connect(f"{socket}?{SIZE}", headers={"Origin": f"http://{site.host}"}) as opened:
            await Page(opened).until("gpu-16")


GARBAGE = [
    "", "{", "null", "5", "[]", '["stdin"]', '["stdin", 5]', '["resize"]', '["resize", {"width": "x"}]',
    '["resize", 1]',
    '["resize", {"width": 1e999, "height": -5}]', '["resize", {"width": null}]', "[" * 50_000,
    '["ping", {}]', '[["a"]]',
    '["resize", {"width": 0, "height": 0}]', '["resize", {"width": NaN, "height": -Infinity}]',
]  # fmt: skip


async def test_a_page_cannot_make_its_screen_large_or_end_it_with_garbage(site: Site) -> None:
    url = f"{site.url('/ws', site.token)}&width=5000&height=5000"
    async with aiohttp.ClientSession() as client, client.ws_connect(url) as opened:
        painted = 0
        while painted < 20_000:  # the whole of a large screen
            painted += len((await opened.receive(60)).data)
        for text in GARBAGE:
            await opened.send_str(text)
        for size in ((5000, 5000), (10**12, 10**12), (5000, 5000), (WIDTH, HEIGHT)):
            await opened.send_json(["resize", {"width": size[0], "height": size[1]}])
            await asyncio.sleep(0.3)
        page = Page(opened)
        await page.press("?")
        await page.until("In clusters")
        wait_for(lambda: len(site.screens()) == 1, 30, "one screen")
        (screen,) = site.screens()
        assert screen.memory_info().rss < 250 << 20


def test_a_page_that_sends_keys_without_end_gets_few_of_them_in_a_second() -> None:
    """Let the bytes of a flood pass on a clock of the test, which the waits alone set forward."""
    for size in (13, 60_000):
        allowance, now, passed = Allowance(), 1_000.0, 0
        while now < 1_060.0:
            now += allowance.wait_s(size, now)
            passed += size
        assert passed <= INPUT_AT_ONCE + 60 * INPUT_A_S + 2 * size
    assert allowance.wait_s(INPUT_AT_ONCE, now + 3_600.0) == 0.0, "an idle page may paste again"


class Flood:
    """A page that has sent many messages before the first is read."""

    def __init__(self, count: int, text: str) -> None:
        self._left, self._text = count, text

    def __aiter__(self) -> "Flood":
        return self

    async def __anext__(self) -> aiohttp.WSMessage:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, self._text, None)


@pytest.mark.parametrize("text", ['["stdin", "j"]', '["focus"]', "garbage"])
async def test_every_kind_of_message_is_held_back(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    waited = [0.0]

    async def sleep(seconds: float) -> None:
        waited[0] += seconds

    count = 4 * INPUT_AT_ONCE // len(text)
    screen = ScreenProcess.__new__(ScreenProcess)
    screen._socket, screen._allowance = Flood(count, text), Allowance()  # type: ignore[assignment]
    monkeypatch.setattr(ScreenProcess, "_send", lambda self, kind, payload: sleep(0.0))
    monkeypatch.setattr("cockpit.tui.web_screen.asyncio.sleep", sleep)
    monkeypatch.setattr("cockpit.tui.web_screen.time.monotonic", lambda: waited[0])
    await screen.listen()
    assert waited[0] >= 2 * INPUT_AT_ONCE / INPUT_A_S


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells the peak of a process's memory")
@pytest.mark.parametrize("size", [(5000, 5000), (10**9, 10**9)])
async def test_the_memory_of_a_page_is_bounded_at_any_size_it_asks_for(site: Site, size: tuple[int, int]) -> None:
    """Let the screen paint in that size, and look at the peak of its memory once it has painted in another one."""
    wait_for(lambda: not site.screens(), 30, "the screens of pages before to end")
    url = f"{site.url('/ws', site.token)}&width={size[0]}&height={size[1]}"
    async with aiohttp.ClientSession() as client, client.ws_connect(url) as opened:
        assert await peak_until_painted(site, opened) < PAGE_BYTES_AT_MOST
        await opened.send_json(["resize", {"width": WIDTH, "height": HEIGHT}])
        await Page(opened).until("gpu-16")
        wait_for(lambda: len(site.screens()) == 1, 30, "one screen")
        (screen,) = site.screens()
        assert peak_bytes(screen) < PAGE_BYTES_AT_MOST
        assert screen.rlimit(psutil.RLIMIT_DATA) == (DATA_AT_MOST, DATA_AT_MOST), "the system ends one that takes more"


async def peak_until_painted(site: Site, opened: aiohttp.ClientWebSocketResponse) -> int:
    """Return the peak of the screens' memory until one has painted a large screen, or has taken too much for it."""
    peak = painted = 0
    async with asyncio.timeout(60):
        while painted < 20_000 and peak < PAGE_BYTES_AT_MOST:
            with suppress(TimeoutError):
                data = (await opened.receive(0.02)).data
                painted += len(data) if isinstance(data, bytes) else 0
            for screen in site.screens():
                with suppress(OSError, IndexError):
                    peak = max(peak, peak_bytes(screen))
    return peak


def peak_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


async def test_a_stopped_screen_ends_with_its_page(site: Site) -> None:
    url = f"{site.url('/ws', site.token)}&{SIZE}"
    async with aiohttp.ClientSession() as client, client.ws_connect(url) as opened:
        await Page(opened).until("gpu-16")
        wait_for(lambda: len(site.screens()) == 1, 30, "one screen")
        (screen,) = site.screens()
        screen.send_signal(signal.SIGSTOP)
    wait_for(lambda: not site.screens(), 30, "the stopped screen to end")


async def test_no_screen_outlives_a_killed_server(tmp_path: Path) -> None:
    killed = Site(stories.night().write(tmp_path))
    screens: list[psutil.Process] = []
    try:
        url = f"{killed.url('/ws', killed.token)}&{SIZE}"
        async with aiohttp.ClientSession() as client, client.ws_connect(url) as one, client.ws_connect(url) as other:
            await Page(one).until("gpu-16")
            await Page(other).until("gpu-16")
            screens = killed.screens()
            assert len(screens) == 2
            killed.process.kill()
            killed.process.wait()
            wait_for(lambda: not any(alive(screen) for screen in screens), 30, "the screens to end with their server")
    finally:
        killed.process.kill()
        for screen in screens:
            if alive(screen):
                screen.kill()


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_taken_port_is_one_sentence(site: Site) -> None:
    folder = words(psutil.Process(site.process.pid))[-4]
    taken = site.host.partition(":")[2]
    command = [sys.executable, "-m", "cockpit", "watch", folder, "--web", "--port", taken]
    tried = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert tried.returncode == 1
    assert tried.stderr.startswith(f"cockpit: 127.0.0.1 port {taken} cannot be listened on")
    assert tried.stderr.count("\n") == 1
    assert port_argument("0") == 0


async def test_connections_that_send_nothing_half_a_request_or_a_refused_one_keep_no_page_out(site: Site) -> None:
    host, _, port = site.host.partition(":")
    opened = [await asyncio.open_connection(host, int(port)) for _ in range(300)]
    try:
        for _, writer in opened[::2]:
            writer.write(b"GET / HTTP/1.1\r\nHost: ")
        for _, writer in opened[1::4]:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /")
        async with asyncio.timeout(40):
            closed = await asyncio.gather(*(reader.read() for reader, _ in opened), return_exceptions=True)
        assert len(closed) == len(opened), "each is closed in the end"
        async with aiohttp.ClientSession() as client, client.get(site.address) as answer:
            assert answer.status == 200
    finally:
        for _, writer in opened:
            writer.close()
