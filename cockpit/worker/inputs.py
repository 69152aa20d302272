"""Links from a run's folder to inputs that git does not store."""

from collections.abc import Mapping
from pathlib import Path


def link_inputs(folder: Path, links: Mapping[str, str]) -> None:
    """Add each link that the exported commit does not have. Raises OSError."""
    for path, target in links.items():
        link = folder / path
        if not link.is_symlink() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
