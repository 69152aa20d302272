"""`cockpit mcp`: the MCP server that lets any client do the research, over standard input and output.

It offers Claude's tools and `wait`. A client proposes under the name that it introduces itself with. Its proposals are
approved like all others: by a person, or within the envelope.

The server speaks the protocol itself, which for tools alone is five requests, in both of its forms: with an
`initialize` at the start, and with the client's name in every request (2026-07-28). The official SDK takes a second to
load, and clients begin without the tools of a server that is late. The first answer needs neither the tools nor the
ledger: both load after it.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cockpit import __version__
from cockpit.agent.claude.role import ROLE_OUTSIDE
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader

if TYPE_CHECKING:
    from cockpit.agent.outside import OutsideProposerApi

log = logging.getLogger("cockpit.mcp")

Json = dict[str, Any]

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS_VERSION = "2026-07-28"
"""The version in which each request names its client and there is no `initialize`."""
_META = "io.modelcontextprotocol/"
NO_METHOD, BAD_PARAMS, BAD_REQUEST, BAD_JSON, BAD_VERSION = -32601, -32602, -32600, -32700, -32022
CALLS_AT_ONCE = 16
LINE_CHARS = 16 << 20
"""The longest request that is read."""


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int, message: str, data: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class McpServer:
    """Serves one session to one client. `send` gets each message of the server; any thread may call it."""

    def __init__(
        self, folder: SessionFolder, send: Callable[[Json], None], longest_wait_s: float, agent: str = ""
    ) -> None:
        self._folder = folder
        self._send = send
        self._longest_wait_s = longest_wait_s
        self._agent = agent
        self._client = ""
        self._apis: dict[str, OutsideProposerApi] = {}
        self._apis_lock = threading.Lock()
        self._calls: dict[str | int, threading.Event] = {}
        """Running call to the flag that cancels it."""
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, "mcp-call")
        self._ready: Future[None] = self._threads.submit(self._load)

    def handle(self, text: str) -> None:
        """Handle one message of the client. Calls of tools run in threads of their own."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            self._send(_error(None, _Refused(BAD_JSON, "the message is not JSON")))
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            if not (isinstance(message, dict) and ("result" in message or "error" in message)):
                self._send(_error(None, _Refused(BAD_REQUEST, "the message is not a request")))
            return
        params = message.get("params") or {}
        if "id" not in message:
            asked = params.get("requestId") if isinstance(params, dict) else None
            if message["method"] == "notifications/cancelled" and isinstance(asked, str | int) and asked in self._calls:
                self._calls[asked].set()
            return
        if not isinstance(message["id"], str | int):
            self._send(_error(None, _Refused(BAD_REQUEST, "the id of a request must be a text or an integer")))
            return
        if message["method"] in ("initialize", "server/discover", "ping"):
            self._answer(message, params)
            return
        if message["method"] == "tools/call":
            self._calls[message["id"]] = threading.Event()
        self._threads.submit(self._answer, message, params)

    def close(self) -> None:
        for flag in list(self._calls.values()):
            flag.set()
        with self._apis_lock:
            for api in self._apis.values():
                api.closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, message: Json, params: Any) -> None:
        number = message["id"]
        try:
            if not isinstance(params, dict):
                raise _Refused(BAD_PARAMS, "params must be an object")
            method = _METHODS.get(message["method"])
            if method is None:
                raise _Refused(NO_METHOD, f"the server has no method {message['method'][:80]}")
            stateless = self._check_version(params)
            result = method(self, params, number)
            if stateless:
                result |= {"resultType": "complete", "_meta": {f"{_META}serverInfo": _SERVER}}
            answer = {"jsonrpc": "2.0", "id": number, "result": result}
        except _Refused as error:
            answer = _error(number, error)
        except Exception as error:  # a fault in one call must be answered, and must not end the server
            log.exception("%s failed", message["method"])
            answer = _error(number, _Refused(-32603, f"{type(error).__name__}: {error}"))
        flag = self._calls.pop(number, None)
        if flag is None or not flag.is_set():
            self._send(answer)

    def _check_version(self, params: Json) -> bool:
        """Return True if the request is of the stateless form. Raises _Refused for one of an unknown version."""
        meta = params.get("_meta")
        version = meta.get(f"{_META}protocolVersion") if isinstance(meta, dict) else None
        if version is None or version in HANDSHAKE_VERSIONS:
            return False
        if version != STATELESS_VERSION:
            supported = {"supported": [*HANDSHAKE_VERSIONS, STATELESS_VERSION], "requested": version}
            raise _Refused(BAD_VERSION, f"the server does not speak version {version} of the protocol", supported)
        return True

    def _initialize(self, params: Json, number: str | int) -> Json:
        self._client = _name_of(params.get("clientInfo"))
        wanted = params.get("protocolVersion")
        version = wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        self._threads.submit(self._api, self._agent or self._client)  # reads the ledger before the first call
        return {"protocolVersion": version, "serverInfo": _SERVER, **self._offer()}

    def _discover(self, params: Json, number: str | int) -> Json:
        return {"supportedVersions": [STATELESS_VERSION], **self._offer(), **_UNCACHED}

    def _offer(self) -> Json:
        """Return what the server can do. A hosted agent gets its instructions with its first prompt."""
        offer: Json = {"capabilities": {"tools": {"listChanged": False}}}
        return offer if self._agent else offer | {"instructions": ROLE_OUTSIDE}

    def _ping(self, params: Json, number: str | int) -> Json:
        return {}

    def _list_tools(self, params: Json, number: str | int) -> Json:
        self._ready.result()
        from cockpit.agent.waiting import OUTSIDE_TOOLS

        tools = [
            {
                "name": tool.name,
                "description": tool.description,
                "inputSchema": tool.schema,
                "annotations": {
                    "title": tool.name.replace("_", " "),
                    "readOnlyHint": tool.reads_only,
                    "destructiveHint": False,
                    "idempotentHint": tool.reads_only,
                    "openWorldHint": False,
                },
            }
            for tool in OUTSIDE_TOOLS.values()
            if not (self._agent and tool.name == "wait")
        ]
        if self._agent:
            tools_listed(self._folder, self._agent).touch()
        return {"tools": tools, **_UNCACHED}

    def _call_tool(self, params: Json, number: str | int) -> Json:
        self._ready.result()
        from cockpit.agent.waiting import CallContext, call_outside

        meta = params.get("_meta") if isinstance(params.get("_meta"), dict) else {}
        assert meta is not None
        token = meta.get("progressToken")
        context = CallContext(
            longest_wait_s=self._longest_wait_s,
            progress=None if token is None else lambda done, total: self._send(_progress(token, done, total)),
            cancelled=self._calls.get(number) or threading.Event(),
            hosted=bool(self._agent),
        )
        client = self._agent or _name_of(meta.get(f"{_META}clientInfo")) or self._client
        answer = call_outside(self._api(client), str(params.get("name")), params.get("arguments") or {}, context)
        return {"content": [{"type": "text", "text": answer.text}], "isError": answer.failed}

    def _api(self, client: str) -> "OutsideProposerApi":
        """Return the api of a client's name, opened at the first call under that name."""
        from cockpit.agent.outside import OutsideProposerApi

        with self._apis_lock:
            if client not in self._apis:
                self._apis[client] = OutsideProposerApi(self._folder, client)
            return self._apis[client]

    def _load(self) -> None:
        """Load the tools, so that the first call does not wait for them."""
        import cockpit.agent.waiting  # noqa: F401


_SERVER = {"name": "cockpit", "version": __version__}
_UNCACHED: Json = {"ttlMs": 0, "cacheScope": "private"}
_METHODS: dict[str, Callable[[McpServer, Json, str | int], Json]] = {
    "initialize": McpServer._initialize,
    "server/discover": McpServer._discover,
    "ping": McpServer._ping,
    "tools/list": McpServer._list_tools,
    "tools/call": McpServer._call_tool,
}


def tools_listed(folder: SessionFolder, agent: str) -> Path:
    """Return the file that exists once the hosted agent has listed Cockpit's tools."""
    return folder.agent_files(agent) / "tools-listed"


def _name_of(info: Any) -> str:
    return str(info.get("name") or "") if isinstance(info, dict) else ""


def _progress(token: str | int, done_s: float, total_s: float) -> Json:
    params = {"progressToken": token, "progress": done_s, "total": total_s, "message": "waiting for the session"}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def _error(number: str | int | None, error: _Refused) -> Json:
    body: Json = {"code": error.code, "message": str(error)}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": number, "error": body}


def serve(session_dir: Path, longest_wait_s: float = 50.0, agent: str = "") -> None:
    """Serve the session on standard input and output until the client disconnects.

    `longest_wait_s` bounds one `wait`: many clients end a tool after 60 s. `agent` is the name of an agent that the
    worker asks. Raises LedgerError, with one sentence, if the session does not exist or is not readable.
    """
    folder = SessionFolder(session_dir)
    LedgerReader(folder).close()
    output, lock = sys.stdout.buffer, threading.Lock()

    def send(message: Json) -> None:
        body = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode()
        try:
            with lock:
                output.write(body + b"\n")
                output.flush()
        except (OSError, ValueError):
            pass  # the client disconnected without a shutdown

    server = McpServer(folder, send, longest_wait_s, agent)
    try:
        while text := sys.stdin.buffer.readline(LINE_CHARS):
            if text.strip():
                server.handle(text.decode("utf-8", "replace"))
    finally:
        server.close()
