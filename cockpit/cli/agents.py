"""The commands of an outside agent, and the transcript of the model."""

import json
import os
import sys
from pathlib import Path

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session
from cockpit.session.paths import SessionFolder
from cockpit.session.user import user_name


def call_tool(name: str, session_name: str | None, arguments: str, author: str) -> int:
    """Call a tool and print its answer as JSON. Returns 1 if the answer is an error.

    `arguments` is a JSON object, or `-` to read one from standard input. Raises CommandError and LedgerError.
    """
    if not name:
        raise CommandError("name a tool: `cockpit tool --list` shows them")
    from cockpit.agent.outside import OutsideProposerApi
    from cockpit.agent.waiting import call_outside

    text = sys.stdin.read() if arguments == "-" else arguments
    try:
        wanted = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise CommandError(f"--json expects a JSON object: {why}") from None
    api = OutsideProposerApi(SessionFolder(_own(session_name)), author or f"{user_name()}-agent")
    try:
        answer = call_outside(api, name, wanted)
    finally:
        api.close()
    _print_json(answer.body)
    return int(answer.failed)


def list_tools() -> int:
    """Print every tool with the JSON schema of its arguments."""
    from cockpit.agent.waiting import OUTSIDE_TOOLS

    listed = [
        {"name": each.name, "description": each.description, "arguments": each.schema}
        for each in OUTSIDE_TOOLS.values()
    ]
    _print_json(listed)
    return 0


def serve_mcp(session_name: str | None, longest_wait_s: float, agent: str) -> int:
    """Serve the session over standard input and output until the client leaves."""
    from cockpit.agent.mcp import serve

    serve(_own(session_name), longest_wait_s, agent)
    return 0


def print_transcript(session_name: str | None, turns: int) -> int:
    """Print the exchange with the model: the last `turns` turns, 0 for all."""
    from cockpit.agent.claude.transcript import rendered

    folder = session(session_name)
    if not folder.transcript.exists():
        raise CommandError(f"no model was asked in session {folder.name} yet, so there is no transcript")
    for text in rendered(folder.transcript, turns):
        print(text)
    return 0


def _print_json(found: object) -> None:
    """Print JSON, with escapes for every other letter than ASCII's where the terminal's encoding may lack it."""
    print(json.dumps(found, ensure_ascii=sys.stdout.encoding.lower() != "utf-8", indent=2))


def _own(session_name: str | None) -> Path:
    """Return the folder of a session whose inbox this user may write to. Raises CommandError."""
    folder = session(session_name)
    if not os.access(folder.inbox if folder.inbox.exists() else folder.root, os.W_OK):
        raise CommandError(f"session {folder.name} belongs to another user: only its owner can connect an agent")
    return folder.root
