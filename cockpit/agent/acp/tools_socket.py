"""Serve Cockpit's tools to a confined agent by a Unix socket, with the MCP server outside the wall.

The server reads the ledger and writes into the inbox. A confined agent sees neither, so it does not start the server;
it connects to the socket, and the worker starts a server for each connection. A run behind Landlock can connect too,
since Landlock does not restrict Unix sockets. A connection therefore needs a key, in a file that the agent can read and
a run cannot.
"""

import hmac
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from cockpit.agent.acp import tools_relay
from cockpit.session.watched_thread import WatchedThread

ENDS_WITHIN_S = 2.0
KEY_BYTES = 32
KEY_WITHIN_S = 5.0
RETRY_S = 0.5
"""The pause after a client that could not be served."""


class ToolsSocket:
    """Open from its creation until `close`. `command` starts the MCP server, which writes its errors to `log`."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command = command
        self._log = log
        self.folder = Path(tempfile.mkdtemp(prefix="cockpit-tools-"))
        """The folder of the socket and its relay. It is outside the session's folder, because the path of a socket has
        at most 107 characters."""
        self._socket = self.folder / "tools"
        self._relay = self.folder / "relay.py"
        shutil.copyfile(tools_relay.__file__, self._relay)
        self._key = secrets.token_bytes(KEY_BYTES)
        (self.folder / "key").write_bytes(self._key)
        self._servers: list[subprocess.Popen[bytes]] = []
        self._starting = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._socket))
        self._listener.listen()
        self._is_closed = threading.Event()
        self._thread = WatchedThread("tools-socket", self._serve)

    @property
    def entrance(self) -> list[str]:
        """The command by which the agent connects."""
        return [sys.executable, "-I", str(self._relay), str(self._socket)]

    def mend(self) -> str:
        """Serve again if the thread that accepts clients died. Returns a sentence about its death; empty for none."""
        return self._thread.mend()

    def close(self) -> None:
        """End every server. Any thread may call it, more than once."""
        self._is_closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        with self._starting:
            servers = list(self._servers)
        for server in servers:
            server.terminate()
        for server in servers:
            try:
                server.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                server.kill()

    def _serve(self) -> None:
        """Accept clients until `close`. If files, threads or processes run out, one client is lost."""
        while not self._is_closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                self._is_closed.wait(RETRY_S)
                continue
            try:
                threading.Thread(target=self._serve_client, args=(client,), daemon=True, name="tools-client").start()
            except RuntimeError:
                client.close()
                self._is_closed.wait(RETRY_S)

    def _serve_client(self, client: socket.socket) -> None:
        """Start a server for a client that has the key."""
        with client, suppress(OSError):
            client.settimeout(KEY_WITHIN_S)
            given = client.recv(KEY_BYTES)
            client.settimeout(None)
            if not hmac.compare_digest(given, self._key):
                return
            with self._starting, self._log.open("ab") as log:
                if self._is_closed.is_set():
                    return
                server = subprocess.Popen(self._command, stdin=client.fileno(), stdout=client.fileno(), stderr=log)
                self._servers = [*(one for one in self._servers if one.poll() is None), server]
