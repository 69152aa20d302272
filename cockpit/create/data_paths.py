"""Find the paths of the data that a session's runs read, to fingerprint their content before and after each run."""

from collections.abc import Mapping
from pathlib import Path

from cockpit.core.model import FleetSpec
from cockpit.scoring.contract import is_upstream
from cockpit.session.research_settings import ResearchSettings


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
        found["~/.cache/autoresearch"] = str(Path.home() / ".cache" / "autoresearch")
    return found
