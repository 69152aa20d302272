"""The briefing at the start of a turn: the current session in a size that does not grow with it.

Every section is a pure function of the state with a fixed bound, so 10,000 experiments take no more room than 500.
The tools return the rest on request.
"""

from collections.abc import Collection, Iterable, Mapping

from cockpit.agent.views import result_sections, session_sections
from cockpit.agent.views.prior_section import prior
from cockpit.agent.views.quoting import clip, plain, quoted
from cockpit.core.state import State

PROGRAM_CHARS = 40_000
SOURCE_CHARS = 80_000
NOW_CHARS = 64_000
"""The limit of `now`. The sections' own limits add up to less."""


def now(state: State, author: str, at: float, summary: str = "", new_waves: Collection[str] = ()) -> str:
    """Return the part that changes from turn to turn, for the agent called `author`; at most NOW_CHARS.

    `summary` covers findings that are no longer listed. `new_waves` are finished waves to mark as new.
    """
    sections = (
        session_sections.session(state, author, at),
        session_sections.clusters(state),
        result_sections.noise(state),
        result_sections.incumbent(state),
        result_sections.best(state),
        result_sections.last(state),
        result_sections.finished_waves(state, new_waves),
        result_sections.open_waves(state),
        result_sections.constants(state),
        result_sections.findings(state, summary),
        prior(state),
        result_sections.rejected(state),
        session_sections.conversation(state, author),
    )
    return "\n\n".join(section for section in sections if section)


def program(text: str) -> str:
    """Return program.md, the person's instructions, clipped to its limit."""
    return clip(plain(text), PROGRAM_CHARS)


def source(experiment: str, texts: Mapping[str, str]) -> str:
    """Return the incumbent's editable files, given by path; all of them together clipped to the limit."""
    parts = [f"# {path} of {experiment}, the incumbent\n{plain(text)}" for path, text in texts.items()]
    return clip("\n\n".join(parts), SOURCE_CHARS)


def crashes(reports: Iterable[tuple[str, str, str]]) -> str:
    """Return the crashed experiments, given as (experiment, change, end of its traceback)."""
    parts = [f"{name} ({change}) crashed. The end of its log:\n{quoted(end)}" for name, change, end in reports]
    if not parts:
        return ""
    head = "# New crashes. Fix the idea (an arm with `fixes`) or drop it"
    return head + "\n" + "\n\n".join(parts)
