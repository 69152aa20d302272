"""The note about a proposer that connects from outside."""

from collections.abc import Collection

from cockpit.core.events import Event, Said
from cockpit.core.model import PROPOSERS


def outside_proposer_note(proposer: str, session: str, at: float, hosted_agents: Collection[str] = ()) -> list[Event]:
    """Tell how an agent from outside connects, where the proposer is not one of cockpit's own."""
    if proposer in PROPOSERS or proposer in hosted_agents:
        return []
    text = (
        f"{proposer} is not one of cockpit's own proposers ({', '.join(PROPOSERS)}), so cockpit waits for it from"
        f" outside: have that agent start `cockpit mcp {session}`, as docs/agents.md says. Meanwhile filler keeps the"
        " clusters busy."
    )
    return [Said(at=at, author="cockpit", text=text)]
