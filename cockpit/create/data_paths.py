"""Find the paths of the data that a session's runs read, to fingerprint their content before and after each run.

The usual folders of data belong to every session of the machine, and none of them to this one's data. The one exception
is upstream's corpus in a session of upstream.
"""

import os
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from cockpit.core.session import FleetSpec
from cockpit.fleet.node.environment import data_folders, passed_on
from cockpit.scoring.contract import is_upstream
from cockpit.session.research_settings import ResearchSettings
from cockpit.variant.inputs import Inputs
from cockpit.variant.outside_paths import outside_paths

UPSTREAM_CORPUS = "~/.cache/autoresearch"
"""The usual folder that upstream's prepare.py fills and reads."""


def data_paths(spec: FleetSpec, repo: Path, research: ResearchSettings, links: Mapping[str, str]) -> dict[str, str]:
    """Return the paths by the names that a person knows; on SkyPilot they are paths of a node.

    `links` are those of a run's folder. Files that Git LFS stores are left out: the commit names their hashes.
    """
    if spec.simulated:
        return {}
    if spec.kind != "local":
        return {path: path for path in research.readable}
    found = {name: target for name, target in links.items() if "lfs/objects" not in Path(target).as_posix()}
    found |= {path: str((repo / Path(path).expanduser()).resolve()) for path in research.readable}
    if is_upstream(repo):
        found[UPSTREAM_CORPUS] = str(Path(UPSTREAM_CORPUS).expanduser())
    return found


def outside_data(found: Inputs, environment: Collection[str], top: Path) -> tuple[str, ...]:
    """Return the data outside the repository that the code names: by a whole path, or by a variable that a run gets.

    `environment` are the names and patterns that the person passes on. The usual folders of data are left out: every
    run may read them, and what other sessions fetch into them does not change this one's data.
    """
    passed = passed_on(environment)
    own = [name for name in found.variables if name in passed and any(fnmatchcase(name, each) for each in environment)]
    named = outside_paths((passed[name] for name in own), top)
    usual = {str(folder.resolve()) for folder in data_folders(os.environ)}
    return tuple(sorted({*found.absolute, *named} - usual))
