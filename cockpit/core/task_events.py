"""The events of the task file of a session on SkyPilot."""

from cockpit.core.events import Event


class TaskTaken(Event):
    """Runs use this text of experiment.yaml from now on."""

    text: str
    sha256: str
    author: str


class TaskOffered(Event):
    """experiment.yaml is not the text that runs use. A person may take it; without a text it is the same again."""

    text: str = ""
    problem: str = ""
    """Why it cannot be used, in a sentence."""
    fields: tuple[str, ...] = ()
    """The top-level fields that differ."""
