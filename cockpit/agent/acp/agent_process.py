"""The process of an agent's adapter, its connection and its session.

The process lives from its first turn to the worker's end, and costs nothing between turns. A process that has ended is
restarted for the next turn, and the agent's session is resumed if the agent supports that.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import acp
import msgspec
import psutil
from acp.client.connection import ClientSideConnection
from acp.exceptions import RequestError
from acp.schema import (
    ClientCapabilities,
    FileSystemCapabilities,
    Implementation,
    InitializeResponse,
    McpServerStdio,
    PromptResponse,
    SessionModeState,
    TextContentBlock,
)
from pydantic import ValidationError

from cockpit import __version__
from cockpit.agent.acp.client import AgentClient
from cockpit.agent.acp.tools_socket import ToolsSocket
from cockpit.agent.acp.wall import AgentWall, Openings
from cockpit.agent.mcp import tools_listed
from cockpit.agent.proposer_api import ProposerTrouble
from cockpit.agent.views.quoting import line
from cockpit.core.hosted_agents import HostedAgent, install_hint, known_agent
from cockpit.session.paths import SessionFolder
from cockpit.session.plain_file import read_if_there
from cockpit.session.small_files import end_of_file, replace_file

T = TypeVar("T")

START_S = 60.0
"""Seconds for the adapter's first answer, and for a session. Adapters by npm load for several seconds."""
LINE_BYTES = 50 << 20
WRONG_LINES_AT_MOST = 1_000
AUTH_REQUIRED = -32000
TOOLS_WITHIN_S = 10.0
LOOK_EVERY_S = 0.25
SETUP_RETRY_S = 300.0
"""Seconds until the next try if a person must act first: install the agent, log in or upgrade."""
ENDS_WITHIN_S = 3.0
ASKING_MODES = ("default", "read-only", "ask")
"""Modes in which known agents ask for permission, in the order of preference: Claude Code's and Gemini CLI's, Codex's,
others'."""


class Memory(msgspec.Struct):
    """The agent's own session, its cost so far and its process, which outlive the worker."""

    session: str = ""
    cost_usd: float = 0.0
    introduced: str = ""
    """The incumbent whose code the session was given; empty before its first prompt."""
    pid: int = 0
    started: float = 0.0


class AgentProcess:
    """One agent's process. All methods but `kill` run on one event loop."""

    def __init__(
        self,
        agent: HostedAgent,
        folder: SessionFolder,
        client: AgentClient,
        cwd: Path,
        wall: AgentWall,
        environment: Mapping[str, str],
    ) -> None:
        self._agent = agent
        self._wall = wall
        self._environment = environment
        self._tools_socket: ToolsSocket | None = None
        self._folder = folder
        self._client = client
        self._cwd = cwd
        self._place = folder.agent_files(agent.name)
        self._memory_path = self._place / "seat.json"
        self._process: asyncio.subprocess.Process | None = None
        self._connection: ClientSideConnection | None = None
        self._pump: asyncio.Task[None] | None = None
        self._wrong_lines: deque[str] = deque(maxlen=1)
        self._wrong_count = 0
        self.heard_at = time.monotonic()
        self.memory = self._read_memory()

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None and self._connection is not None

    async def start(self) -> bool:
        """Start the process and its session. Returns False if they are running already. Raises ProposerTrouble."""
        if self.is_alive:
            return False
        await self.stop()
        self._kill_leftover()
        await self._spawn()
        try:
            listed = tools_listed(self._folder, self._agent.name)
            listed.unlink(missing_ok=True)
            capabilities = await self._initialize()
            await self._open_session(capabilities)
            await self._await_tools(listed)
        except BaseException:
            await self.stop()
            raise
        self.save()
        return True

    async def prompt(self, text: str) -> PromptResponse:
        """Send a prompt and await the end of the turn."""
        assert self._connection is not None
        return await self._connection.prompt(self.memory.session, [TextContentBlock(type="text", text=text)])

    async def cancel(self) -> None:
        """Ask the agent to end its turn."""
        assert self._connection is not None
        await self._connection.cancel(self.memory.session)

    async def stop(self) -> None:
        """End the process: by the end of its input, then by a signal."""
        process, connection, pump = self._process, self._connection, self._pump
        self._process = self._connection = self._pump = None
        if connection is not None:
            await connection.close()
        if pump is not None:
            pump.cancel()
        self._close_socket()
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            _signal_group(process.pid, number)
            try:
                await asyncio.wait_for(process.wait(), ENDS_WITHIN_S)
                break
            except TimeoutError:
                continue
        _signal_group(process.pid, signal.SIGKILL)  # children that outlived it

    def kill(self) -> None:
        """Kill the process from any thread."""
        if self._process is not None and self._process.returncode is None:
            _signal_group(self._process.pid, signal.SIGKILL)
        self._close_socket()

    def mend(self) -> str:
        """Start a thread of it that died again, from any thread. Returns a sentence about that; empty for none."""
        socket = self._tools_socket
        return socket.mend() if socket is not None else ""

    def _close_socket(self) -> None:
        socket, self._tools_socket = self._tools_socket, None
        if socket is not None:
            socket.close()

    def save(self) -> None:
        replace_file(self._memory_path, msgspec.json.encode(self.memory))

    def trouble(self, what: str, retry_in_s: float = 60.0) -> ProposerTrouble:
        """Return the trouble in one sentence, with the last line that the agent printed outside the protocol."""
        said = line(self._last_output(), 200)
        return ProposerTrouble(f"{self._agent.name} {what}" + (f": {said}" if said else ""), retry_in_s)

    def refusal(self, error: BaseException, doing: str) -> ProposerTrouble:
        """Return an error of the agent as one sentence."""
        match error:
            case RequestError() if error.code == AUTH_REQUIRED or "auth" in str(error).lower():
                return self.login()
            case RequestError():
                data = error.data if isinstance(error.data, dict) else {}
                details = str(data.get("details") or data.get("message") or "")
                words = line(f"{error} {details}", 300)
                return ProposerTrouble(f"{self._agent.name} refused {doing}: {words}")
            case ValidationError():
                return ProposerTrouble(f"{self._agent.name} answered {doing} with something that is not ACP")
            case TimeoutError():
                return self.trouble(f"has not answered {doing} within {START_S:.0f} s")
            case ConnectionError():
                return self._ended()
        return ProposerTrouble(f"{self._agent.name} failed at {doing}: {line(str(error), 200) or type(error).__name__}")

    def login(self) -> ProposerTrouble:
        known = known_agent(self._agent)
        how = known.login if known else "log in with its own command"
        return ProposerTrouble(f"{self._agent.name} asks for a login: {how}, then write to it", SETUP_RETRY_S)

    def _ended(self) -> ProposerTrouble:
        code = self._process.returncode if self._process else None
        status = "" if code is None else f" (signal {-code})" if code < 0 else f" (exit status {code})"
        return self.trouble(f"ended in the middle of its turn{status}")

    async def _spawn(self) -> None:
        command = self._agent.command
        program = shutil.which(command[0])
        if program is None:
            hint = install_hint(self._agent)
            raise ProposerTrouble(
                f"the command {command[0]} of {self._agent.name} is not here" + (f": {hint}" if hint else ""),
                SETUP_RETRY_S,
            )
        known = known_agent(self._agent)
        temporary = self._place.resolve() / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        self._tools_socket = ToolsSocket(self._mcp_command(), self._place / "tools.log")
        openings = Openings(self._folder.root.resolve(), self._cwd, temporary, self._tools_socket.folder)
        self._wrong_lines.clear()
        self._wrong_count = 0
        with self._log.open("wb") as errors:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._wall.command((program, *command[1:]), openings),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                    cwd=self._cwd,
                    env={**self._environment, "TMPDIR": str(temporary), **(known.environment if known else {})},
                    limit=LINE_BYTES,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProposerTrouble(f"{command[0]} cannot be started: {error.strerror}", SETUP_RETRY_S) from None
        process = self._process
        assert process.stdin is not None
        self.memory.pid, self.memory.started = process.pid, _created(process.pid)
        self.save()
        messages = asyncio.StreamReader(limit=LINE_BYTES)
        self._pump = asyncio.create_task(self._feed(process, messages))
        client = cast(acp.Client, self._client)  # terminals and elicitation are not offered
        self._connection = acp.connect_to_agent(client, process.stdin, messages, use_unstable_protocol=True)

    @property
    def _log(self) -> Path:
        return self._place / "stderr.log"

    async def _feed(self, process: asyncio.subprocess.Process, messages: asyncio.StreamReader) -> None:
        """Pass on the lines that are messages. An agent that prints many other lines is killed."""
        assert process.stdout is not None
        try:
            while found := await process.stdout.readline():
                self.heard_at = time.monotonic()
                if _is_message(found):
                    messages.feed_data(found)
                    continue
                self._wrong_count += bool(found.strip())
                self._wrong_lines.append(found.decode("utf-8", "replace"))
                if self._wrong_count > WRONG_LINES_AT_MOST:
                    _signal_group(process.pid, signal.SIGKILL)
                    break
        except ValueError:
            self._wrong_lines.append(f"a line of more than {LINE_BYTES >> 20} MB")
            _signal_group(process.pid, signal.SIGKILL)
        try:
            await asyncio.wait_for(process.wait(), ENDS_WITHIN_S)
        except TimeoutError:
            _signal_group(process.pid, signal.SIGKILL)
        messages.feed_eof()

    async def _await_tools(self, listed: Path) -> None:
        """Wait TOOLS_WITHIN_S at most for the agent to list Cockpit's tools. Some agents list them only in a turn."""
        for _ in range(round(TOOLS_WITHIN_S / LOOK_EVERY_S)):
            if listed.exists() or not self.is_alive:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.sleep(LOOK_EVERY_S)  # the agent reads the answer

    async def _answered(self, request: Awaitable[T], doing: str) -> T:
        """Return the agent's answer to a request. Raises ProposerTrouble for any error: an agent's program may fail in
        ways that neither ACP nor its library lists."""
        try:
            return await asyncio.wait_for(request, START_S)
        except Exception as error:
            raise self.refusal(error, doing) from None

    async def _initialize(self) -> InitializeResponse:
        assert self._connection is not None
        files = FileSystemCapabilities(read_text_file=True, write_text_file=True)
        request = self._connection.initialize(
            protocol_version=acp.PROTOCOL_VERSION,
            client_capabilities=ClientCapabilities(fs=files, terminal=False),
            client_info=Implementation(name="cockpit", title="Cockpit", version=__version__),
        )
        answer = await self._answered(request, "the handshake")
        if answer.protocol_version != acp.PROTOCOL_VERSION:
            raise ProposerTrouble(
                f"{self._agent.name} speaks version {answer.protocol_version} of ACP and this cockpit version"
                f" {acp.PROTOCOL_VERSION}: upgrade whichever is older",
                SETUP_RETRY_S,
            )
        return answer

    async def _open_session(self, answer: InitializeResponse) -> None:
        """Resume the agent's last session if the agent can, else begin one."""
        assert self._connection is not None
        servers: list[Any] = [self._mcp_server()]
        known = self.memory.session
        able = answer.agent_capabilities
        try:
            if known and able and able.session_capabilities and able.session_capabilities.resume is not None:
                resuming = self._connection.resume_session(known, str(self._cwd), mcp_servers=servers)
                await self._set_asking_mode((await asyncio.wait_for(resuming, START_S)).modes)
                return
            if known and able and able.load_session:
                loading = self._connection.load_session(str(self._cwd), known, servers)
                await self._set_asking_mode((await asyncio.wait_for(loading, START_S)).modes)
                return
        except (RequestError, ValidationError, TimeoutError):
            pass  # the session is gone: begin a new one, with the whole brief
        made = await self._answered(self._connection.new_session(str(self._cwd), mcp_servers=servers), "a session")
        self.memory.session, self.memory.introduced, self.memory.cost_usd = made.session_id, "", 0.0
        await self._set_asking_mode(made.modes)

    async def _set_asking_mode(self, modes: SessionModeState | None) -> None:
        """Choose the mode in which the agent asks before it acts. Some agents begin in one that does not ask."""
        offered = [mode.id for mode in modes.available_modes] if modes else []
        asking = next((mode for mode in ASKING_MODES if mode in offered), None)
        if asking is None or modes is None or modes.current_mode_id == asking:
            return
        assert self._connection is not None
        await self._answered(self._connection.set_session_mode(self.memory.session, asking), f"the mode {asking}")

    def _mcp_command(self) -> list[str]:
        """Return the command that serves Cockpit's tools under the agent's name."""
        return [sys.executable, "-m", "cockpit", "mcp", str(self._folder.root.resolve()), "--agent", self._agent.name]

    def _mcp_server(self) -> McpServerStdio:
        """Return the MCP server by which the agent reaches Cockpit's tools."""
        assert self._tools_socket is not None
        command, *arguments = self._tools_socket.entrance
        return McpServerStdio(name="cockpit", command=command, args=arguments, env=[])

    def _read_memory(self) -> Memory:
        try:
            return msgspec.json.decode(read_if_there(self._memory_path), type=Memory)
        except msgspec.MsgspecError:
            return Memory()

    def _kill_leftover(self) -> None:
        """Kill the process that a killed worker left."""
        if self.memory.pid and abs(_created(self.memory.pid) - self.memory.started) < 1.0:
            _signal_group(self.memory.pid, signal.SIGKILL)
        self.memory.pid = 0

    def _last_output(self) -> str:
        if self._wrong_lines:
            return f"it printed {self._wrong_lines[-1].strip()[:160]!r} in place of a message"
        lines = end_of_file(self._log, 4_096).strip().splitlines()
        return lines[-1] if lines else ""


def _is_message(found: bytes) -> bool:
    try:
        return isinstance(json.loads(found), dict)
    except (ValueError, RecursionError):
        return False


def _created(pid: int) -> float:
    """Return the time at which the process was created; 0 if there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
