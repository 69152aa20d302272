"""Choose what the runs of a new session may read, use and leave."""

import re
from pathlib import Path

import msgspec

from cockpit.core.session import RunAccess
from cockpit.create.command import command_words, is_started_by_python
from cockpit.create.data_paths import outside_data
from cockpit.create.error import CreateError
from cockpit.fleet.secret_names import is_secret
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import Settings
from cockpit.variant.inputs import Inputs

_VARIABLES = re.compile(r"[A-Za-z_*?][\w*?]*", re.ASCII)


def is_confined(research: ResearchSettings) -> bool:
    """Return True if runs are to be confined: on the person's word, or without it if a Python starts them.

    Other programs may build an environment, download, or start what lies outside their own installation.
    """
    if research.confine is not None:
        return research.confine
    return is_started_by_python(command_words("command", research.command))


def access_of(settings: Settings, repo: Path, links: dict[str, str], on_clusters: bool) -> RunAccess:
    """Return the access of runs."""
    research = settings.research
    readable = research.readable
    if not on_clusters:  # where a path is the node's own
        readable = tuple(str((repo / Path(path).expanduser()).resolve()) for path in readable)
    for name in research.env:
        if is_secret(name):
            raise CreateError(f"[research] env: {name} looks like a secret, and no secret reaches a run: remove it")
        if not _VARIABLES.fullmatch(name):
            raise CreateError(
                f"[research] env: {name!r} is not the name of a variable: expected one such as DATA_DIR or HF_*"
            )
    for pattern in research.artifacts:
        if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
            raise CreateError(
                f"[research] artifacts: {pattern} leads out of the folder of a run: expected one such as out/*.pt"
            )
    return RunAccess(
        confine=is_confined(research),
        network=research.network,
        readable=(*readable, *links.values(), *(str(Path(target).resolve()) for target in links.values())),
        environment=research.env,
        links=links,
        artifacts=research.artifacts,
        artifacts_mb=research.artifacts_mb,
    )


def with_outside_data(settings: Settings, found: Inputs, repo: Path) -> Settings:
    """Return the settings with the data outside the repository, which the code names, among what a run may read."""
    if settings.session.fleet != "local":
        return settings
    research = settings.research
    more = [path for path in outside_data(found, research.env, repo) if path not in research.readable]
    return msgspec.structs.replace(
        settings, research=msgspec.structs.replace(research, readable=(*research.readable, *more))
    )
