"""Join this process's standard input and output to a Unix socket, so that a confined agent reaches Cockpit's tools.

    python -I tools_relay.py SOCKET

The file `key` beside the socket holds its key. Only the standard library is imported, because this runs behind the
agent's wall.
"""

import os
import socket
import sys
import threading
from pathlib import Path

BYTES_AT_ONCE = 1 << 16


def main() -> None:
    with socket.socket(socket.AF_UNIX) as tools:
        tools.connect(sys.argv[1])
        tools.sendall(Path(sys.argv[1]).with_name("key").read_bytes())
        threading.Thread(target=_forward_input, args=(tools,), daemon=True).start()
        while found := tools.recv(BYTES_AT_ONCE):
            while found:
                found = found[os.write(1, found) :]


def _forward_input(tools: socket.socket) -> None:
    """Forward standard input to the socket, to its end."""
    while found := os.read(0, BYTES_AT_ONCE):
        tools.sendall(found)
    tools.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
