"""A stand-in for the Messages API on loopback: the real wire format and checks, with a script in place of a model.

It streams server-sent events, counts tokens with a prompt cache by the request's own marks, and refuses the requests
that the API refuses. The real SDK and the code under test run against it.
"""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-ant-test-7f3c9a1e5b"
MODELS = ("claude-opus-5-5", "claude-haiku-5-5")
CHARS_PER_TOKEN = 4
LOOKBACK_BLOCKS = 20
"""Blocks up to and including a mark in which the API finds a prefix that an earlier mark wrote."""


@dataclass
class Asked:
    """One request as received."""

    body: dict[str, Any]
    headers: dict[str, str]
    number: int

    @property
    def text(self) -> str:
        """Everything the model reads, except the tools."""
        return json.dumps([self.body.get("system"), self.body["messages"]], ensure_ascii=False)

    @property
    def briefing(self) -> str:
        return str(self.body["messages"][0]["content"][-1]["text"])

    @property
    def results(self) -> list[dict[str, Any]]:
        """The tool results at the end of the conversation."""
        last = self.body["messages"][-1]
        return [block for block in last["content"] if block["type"] == "tool_result"]

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The tool results, decoded."""
        return [json.loads(block["content"]) for block in self.results]

    @property
    def opens_turn(self) -> bool:
        return len(self.body["messages"]) == 1


@dataclass
class Answer:
    blocks: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str = ""
    """Empty for the reason that the blocks imply."""
    delay_s: float = 0.0
    """The delay before each event except the first."""
    cut_after: int = -1
    """Close the connection after this many events."""
    end_early: bool = False
    """End the body properly at the cut, as a proxy does."""
    error_after: str = ""
    """Send an error event of this type at the cut."""
    stop_details: dict[str, Any] | None = None


@dataclass
class Refuse:
    status: int
    kind: str
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Hang:
    """Accept the request and do not answer."""

    seconds: float


Reply = Answer | Refuse | Hang
Script = Callable[[Asked], Reply]


def says(text: str) -> Answer:
    return Answer([{"type": "text", "text": text}])


_ids = iter(range(10**9))


def calls(name: str, arguments: Any, thinking: str = "") -> Answer:
    use = {"type": "tool_use", "id": f"toolu_{next(_ids):06d}", "name": name, "input": arguments}
    return Answer([*([{"type": "thinking", "thinking": thinking, "signature": "c2ln"}] if thinking else []), use])


def together(*answers: Answer) -> Answer:
    return Answer([block for answer in answers for block in answer.blocks])


class MessagesServer:
    """Answers with `script`, or with a list of replies and then with a text that calls no tool."""

    def __init__(self, script: Script | list[Reply]) -> None:
        self.asked: list[Asked] = []
        self.problems: list[str] = []
        """Reasons for refused requests that were invalid."""
        self._cache: set[str] = set()
        self._lock = threading.Lock()
        if callable(script):
            self._script: Script = script
        else:
            replies = iter(script)
            self._script = lambda asked: next(replies, says("Nothing more for now."))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "MessagesServer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def _answer(self, http: BaseHTTPRequestHandler) -> None:
        body = json.loads(http.rfile.read(int(http.headers["content-length"])))
        with self._lock:
            asked = Asked(body, {name.lower(): value for name, value in http.headers.items()}, len(self.asked))
            self.asked.append(asked)
        try:
            if http.path != "/v1/messages":
                return _error(http, Refuse(404, "not_found_error", http.path))
            sent = asked.headers.get("x-api-key") or asked.headers.get("authorization", "").removeprefix("Bearer ")
            if sent != KEY:
                return _error(http, Refuse(401, "authentication_error", "invalid x-api-key"))
            if body["model"] not in MODELS:
                return _error(http, Refuse(404, "not_found_error", f"model: {body['model']}"))
            problem = _problem(asked)
            if problem:
                self.problems.append(problem)
                return _error(http, Refuse(400, "invalid_request_error", problem))
            if not body.get("stream"):
                return self._whole(http, asked)
            reply = self._script(asked)
            if isinstance(reply, Refuse):
                return _error(http, reply)
            if isinstance(reply, Hang):
                time.sleep(reply.seconds)
                return None
            self._stream(http, asked, reply)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _whole(self, http: BaseHTTPRequestHandler, asked: Asked) -> None:
        answer = says(f"A summary of {len(asked.text)} characters.")
        message = self._message(asked, answer) | {"content": answer.blocks, "stop_reason": "end_turn"}
        _send(http, 200, json.dumps(message).encode())

    def _message(self, asked: Asked, answer: Answer) -> dict[str, Any]:
        return {
            "id": f"msg_{asked.number:06d}",
            "type": "message",
            "role": "assistant",
            "model": asked.body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._usage(asked) | {"output_tokens": 1},
        }

    def _usage(self, asked: Asked) -> dict[str, Any]:
        """Count tokens by the marks.

        Over LOOKBACK_BLOCKS blocks before each mark, the cache is searched for a prefix that an earlier mark wrote. The
        longest one found is read; the rest, up to the last mark, is written.
        """
        tools = json.dumps(asked.body.get("tools")).encode()
        digest, total = hashlib.sha256(tools), len(tools) // CHARS_PER_TOKEN
        prefixes: list[tuple[str, int]] = []
        marks: list[tuple[int, str]] = []
        for block in _blocks(asked.body):
            plain = json.dumps({key: value for key, value in block.items() if key != "cache_control"})
            digest.update(plain.encode())
            total += len(plain) // CHARS_PER_TOKEN
            prefixes.append((digest.hexdigest(), total))
            if "cache_control" in block:
                marks.append((len(prefixes), block["cache_control"].get("ttl", "5m")))
        with self._lock:
            seen = [prefix for end, _ in marks for prefix in prefixes[max(0, end - LOOKBACK_BLOCKS) : end]]
            read = max((size for name, size in seen if name in self._cache), default=0)
            self._cache.update(prefixes[end - 1][0] for end, _ in marks)
        written_by_ttl = {"5m": 0, "1h": 0}
        written = 0
        for end, ttl in marks:
            new = max(0, prefixes[end - 1][1] - read - written)
            written_by_ttl[ttl] += new
            written += new
        return {
            "input_tokens": total - read - written,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written_by_ttl["5m"],
                "ephemeral_1h_input_tokens": written_by_ttl["1h"],
            },
        }

    def _stream(self, http: BaseHTTPRequestHandler, asked: Asked, answer: Answer) -> None:
        http.send_response(200)
        http.send_header("content-type", "text/event-stream")
        http.send_header("transfer-encoding", "chunked")
        http.send_header("request-id", f"req_{asked.number:06d}")
        http.end_headers()
        for number, (name, data) in enumerate(_events(self._message(asked, answer), answer)):
            if number == answer.cut_after:
                if answer.error_after:
                    error = {"type": "error", "error": {"type": answer.error_after, "message": "later"}}
                    _chunk(http, "error", error)
                elif not answer.end_early:
                    http.connection.shutdown(socket.SHUT_RDWR)
                    return
                break
            if number:
                time.sleep(answer.delay_s)
            _chunk(http, name, data)
        http.wfile.write(b"0\r\n\r\n")


def _events(message: dict[str, Any], answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": message}), ("ping", {})]
    length = 0
    for index, block in enumerate(answer.blocks):
        empty, deltas = _deltas(block)
        events.append(("content_block_start", {"index": index, "content_block": empty}))
        for delta in deltas:
            length += len(json.dumps(delta))
            events.append(("content_block_delta", {"index": index, "delta": delta}))
        events.append(("content_block_stop", {"index": index}))
    implied = "tool_use" if any(block["type"] == "tool_use" for block in answer.blocks) else "end_turn"
    ended = {"stop_reason": answer.stop_reason or implied, "stop_sequence": None, "stop_details": answer.stop_details}
    events.append(("message_delta", {"delta": ended, "usage": {"output_tokens": max(1, length // CHARS_PER_TOKEN)}}))
    events.append(("message_stop", {}))
    return [(name, {"type": name, **data}) for name, data in events]


def _deltas(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block["type"]:
        case "text":
            return block | {"text": ""}, [{"type": "text_delta", "text": part} for part in _parts(block["text"])]
        case "thinking":
            deltas: list[dict[str, Any]] = [
                {"type": "thinking_delta", "thinking": part} for part in _parts(block["thinking"])
            ]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return block | {"thinking": "", "signature": ""}, deltas
        case _:
            parts = ["", *_parts(json.dumps(block["input"]))]
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def _parts(text: str, size: int = 37) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(body.get("system") or []) if isinstance(body.get("system"), list) else []
    for message in body["messages"]:
        if isinstance(message["content"], list):
            found += message["content"]
    return found


def _problem(asked: Asked) -> str:
    """Return why the API refuses the request; empty if it does not."""
    body = asked.body
    if "anthropic-version" not in asked.headers:
        return "anthropic-version: header is required"
    marks = [block["cache_control"] for block in _blocks(body) if "cache_control" in block]
    if len(marks) > 4:
        return f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}."
    ttls = [mark.get("ttl", "5m") for mark in marks]
    if ttls != sorted(ttls):
        return "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block"
    if (body.get("thinking") or {"type": "adaptive"})["type"] != "adaptive":
        return "thinking.type.disabled is not supported for this model"
    if (body.get("tool_choice") or {"type": "auto"})["type"] not in ("auto", "none"):
        return "tool_choice forces tool use"
    if any(block["type"] == "text" and not block["text"].strip() for block in _blocks(body)):
        return "messages: text content blocks must contain non-whitespace text"
    for tool in body.get("tools") or []:
        if tool["input_schema"].get("type") != "object":
            return f"tools.{tool['name']}.input_schema.type: Field required"
    open_uses: list[str] = []
    for number, message in enumerate(body["messages"]):
        if message["role"] != ("user", "assistant")[number % 2]:
            return f"messages.{number}: roles must alternate"
        content = message["content"] if isinstance(message["content"], list) else []
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        if message["role"] == "user" and results != open_uses:
            return f"messages.{number}: tool_use ids were found without tool_result blocks immediately after"
        open_uses = [block["id"] for block in content if block["type"] == "tool_use"]
    return ""


def _chunk(http: BaseHTTPRequestHandler, name: str, data: dict[str, Any]) -> None:
    text = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
    http.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
    http.wfile.flush()


def _error(http: BaseHTTPRequestHandler, refusal: Refuse) -> None:
    error = {"type": "error", "error": {"type": refusal.kind, "message": refusal.message}}
    _send(http, refusal.status, json.dumps(error).encode(), refusal.headers)


def _send(http: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    http.send_response(status)
    http.send_header("content-type", "application/json")
    http.send_header("content-length", str(len(body)))
    for name, value in (headers or {}).items():
        http.send_header(name, value)
    http.end_headers()
    http.wfile.write(body)
