"""Stand-ins of four model APIs on loopback, for real clients: a script of tool calls in place of a model.

The Messages API of Anthropic (`/v1/messages`), the Responses API (`/v1/responses`) and the Chat Completions API
(`/v1/chat/completions`) of OpenAI, and Gemini's (`:streamGenerateContent`), each streamed as the clients ask for it.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Call = tuple[str, Json]

WAITS_FOR_TOOLS = "WaitForMcpServers"
"""The tool by which a client lets its model wait for MCP servers that are not there yet."""

FAILED_AT_MOST = 10
"""Results that are no answer of Cockpit's tools, after which the script is given up."""


class ModelStandIn:
    """Plays `script`, one tool call a request, then says `last_words`.

    A request that offers no tool of the script, such as one for a title, is answered with a word.
    """

    def __init__(self, script: list[Call], last_words: str = "All done.") -> None:
        self._script = script
        self._last_words = last_words
        self.results: list[str] = []
        """The results of the script's calls in the last conversation, as text."""
        self.offered: set[str] = set()
        """The tools that were offered, by the client's names."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                outer._answer(self, json.loads(self.rfile.read(length) or b"{}"))

            def do_GET(self) -> None:
                _send(self, "application/json", json.dumps({"data": [], "models": []}))

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "ModelStandIn":
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, http: BaseHTTPRequestHandler, body: Json) -> None:
        path = http.path.partition("?")[0]
        if path.endswith("/messages"):
            offered = [tool["name"] for tool in body.get("tools") or []]
            results = [
                _text(block.get("content")) for message in body["messages"] for block in _blocks(message["content"])
                if block.get("type") == "tool_result"
            ]  # fmt: skip
            _send(http, "text/event-stream", _messages(self._next(offered, results)), bool(body.get("stream")))
        elif path.endswith("/responses"):
            spaces = {name: space for tool in body.get("tools") or [] for name, space in _names(tool)}
            results = [
                _text(item.get("output")) for item in body["input"] if item.get("type") == "function_call_output"
            ]
            _send(http, "text/event-stream", _responses(self._next(list(spaces), results), spaces))
        elif path.endswith("/chat/completions"):
            offered = [tool["function"]["name"] for tool in body.get("tools") or []]
            results = [_text(message.get("content")) for message in body["messages"] if message["role"] == "tool"]
            _send(http, "text/event-stream", _completions(self._next(offered, results)))
        elif path.endswith(":streamGenerateContent"):
            offered = [
                each["name"] for tool in body.get("tools") or [] for each in tool.get("functionDeclarations", [])
            ]
            results = [
                json.dumps(part["functionResponse"]["response"])
                for content in body["contents"] for part in content["parts"] if "functionResponse" in part
            ]  # fmt: skip
            _send(http, "text/event-stream", _generated(self._next(offered, results)))
        elif path.endswith(":generateContent"):
            _send(http, "application/json", _generated("{}").removeprefix("data: "))
        else:
            _send(http, "application/json", json.dumps({"input_tokens": 1, "totalTokens": 1}))

    def _next(self, offered: list[str], results: list[str]) -> str | Call:
        """Return the words, or the call with the client's name of the tool."""
        self.offered |= set(offered)
        if not offered:
            return "A title"
        waited = sum('{"' not in result for result in results)
        done = len(results) - waited
        self.results = results
        if done >= len(self._script) or waited > FAILED_AT_MOST:
            return self._last_words
        name, arguments = self._script[done]
        known = [tool for tool in offered if tool.endswith(name)]
        if known:
            return known[0], arguments
        return (WAITS_FOR_TOOLS, {}) if WAITS_FOR_TOOLS in offered else self._last_words


def _names(tool: Json) -> list[tuple[str, str]]:
    """Return the names of a tool of the Responses API, or of the tools in a namespace, each with its namespace."""
    if tool.get("type") == "namespace":
        return [(str(inner["name"]), str(tool["name"])) for inner in tool.get("tools") or []]
    return [(str(tool["name"]), "")] if tool.get("name") else []


def _blocks(content: Any) -> list[Json]:
    return content if isinstance(content, list) else []


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content)


def _messages(step: str | Call) -> str:
    if isinstance(step, str):
        block: Json = {"type": "text", "text": ""}
        delta: Json = {"type": "text_delta", "text": step}
    else:
        block = {"type": "tool_use", "id": f"toolu_{id(step)}", "name": step[0], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(step[1])}
    usage = {"input_tokens": 10, "output_tokens": 5}
    message: Json = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "stand-in", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    reason = "end_turn" if isinstance(step, str) else "tool_use"
    events: list[Json] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return _stream(events)


def _responses(step: str | Call, spaces: dict[str, str]) -> str:
    item: Json
    if isinstance(step, str):
        content = [{"type": "output_text", "text": step, "annotations": []}]
        item = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": content}
    else:
        item = {
            "type": "function_call", "id": "f1", "call_id": f"call_{id(step)}", "name": step[0],
            "arguments": json.dumps(step[1]), "status": "completed",
        }  # fmt: skip
        if space := spaces.get(step[0]):
            item["namespace"] = space
    usage = {
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15,
    }  # fmt: skip
    response = {"id": "resp_1", "object": "response", "status": "completed", "output": [item], "usage": usage}
    return _stream(
        [
            {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ]
    )


def _completions(step: str | Call) -> str:
    delta: Json = {"role": "assistant"}
    if isinstance(step, str):
        delta["content"] = step
    else:
        function = {"name": step[0], "arguments": json.dumps(step[1])}
        delta["tool_calls"] = [{"index": 0, "id": f"call_{id(step)}", "type": "function", "function": function}]
    reason = "stop" if isinstance(step, str) else "tool_calls"
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "stand-in"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    chunks = [
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage},
    ]
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"


def _generated(step: str | Call) -> str:
    part = {"text": step} if isinstance(step, str) else {"functionCall": {"name": step[0], "args": step[1]}}
    candidate = {"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    return f"data: {json.dumps({'candidates': [candidate], 'usageMetadata': usage})}\n\n"


def _stream(events: list[Json]) -> str:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def _send(http: BaseHTTPRequestHandler, kind: str, text: str, streams: bool = True) -> None:
    if not streams:
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "stand-in", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "{}"}], "usage": {"input_tokens": 1, "output_tokens": 1},
        }  # fmt: skip
        kind, text = "application/json", json.dumps(message)
    body = text.encode()
    http.send_response(200)
    http.send_header("content-type", kind)
    http.send_header("content-length", str(len(body)))
    http.end_headers()
    http.wfile.write(body)
