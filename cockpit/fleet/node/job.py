"""The shape of `job.json`, which a fleet writes and the runner reads.

For the type checker alone: the runner starts without this module, and on nodes whose Python is older than it needs.
"""

from typing import Any, NotRequired, TypedDict

from cockpit.fleet.node.system_calls import Confinement


class ResourceLimits(TypedDict):
    """The most that the processes of a command may use together; 0 for no limit."""

    memory_mb: float
    disk_mb: float
    processes: float
    cores: float
    """Cores kept busy on average."""


class CommandJob(TypedDict):
    """A command that the runner runs to its end, with all its descendants."""

    command: list[str]
    source: str
    """The folder that it starts in."""
    writable: NotRequired[str]
    """The folder that it may write to, where that is not `source`. Its size is limited."""
    environment: dict[str, str]
    time_limit_s: float
    confinement: Confinement
    limits: ResourceLimits


class ScorerJob(TypedDict):
    """The scorer of a run: a command that gets two more words, the paths of `work` and of its result."""

    command: list[str]
    environment: dict[str, str]
    time_limit_s: float
    confinement: Confinement
    limits: ResourceLimits
    model: str
    """The path of the model in the run's folder."""
    work: dict[str, Any]


class RunJob(CommandJob):
    """An experiment's run."""

    name: str
    script: str
    hashed: list[str]
    """The other files whose hashes are evidence, by path."""
    data: dict[str, str]
    log_path: str
    """The run's log; empty for the output of the runner itself."""
    scorer: ScorerJob | None
    score_command: NotRequired[CommandJob | None]
