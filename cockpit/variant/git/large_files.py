"""Find the files that Git LFS stores: git has a pointer, the content lies in the LFS folder beside git's own objects.

A pointer is text: `version https://git-lfs.github.com/spec/v1`, `oid sha256:HEX`, `size BYTES` (Git LFS specification).
"""

import re
from pathlib import Path

import git

from cockpit.variant.errors import VariantError, shown
from cockpit.variant.git.objects import Objects
from cockpit.variant.git.repository import git_answer

POINTER_BYTES = 1_024
"""Upper limit of a pointer's size."""
POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
"""A pointer; its group is the SHA-256 of the content."""
_FILTER = re.compile(rb"\bfilter=lfs\b")
_LISTED = re.compile(r"100\d{3} blob ([0-9a-f]{40}) +(\d+)\t(.+)", re.DOTALL)


def large_files(repository: git.Repo, objects: Objects, commit: str) -> dict[str, str]:
    """Return the files of a commit that Git LFS stores: path to the absolute path of its content.

    Only a repository with an LFS filter in a .gitattributes file is searched. Raises VariantError for a file whose
    content is not here.
    """
    listed = git_answer(repository, "ls-tree", "-r", "-z", "--full-tree", commit)
    if not any(_FILTER.search(objects.read(blob, "blob")) for blob in _attributes(listed)):
        return {}
    found, missing = {}, []
    for line in git_answer(repository, "ls-tree", "-r", "-l", "-z", "--full-tree", commit).split("\0"):
        row = _LISTED.fullmatch(line)
        if row is None or int(row[2]) > POINTER_BYTES:
            continue
        pointer = POINTER.match(objects.read(row[1], "blob"))
        if pointer is None:
            continue
        digest = pointer[1].decode()
        content = Path(repository.common_dir, "lfs", "objects", digest[:2], digest[2:4], digest).resolve()
        found[row[3]] = str(content)
        if not content.is_file():
            missing.append(row[3])
    if missing:
        names = ", ".join(shown(name) for name in missing[:3]) + (", …" if len(missing) > 3 else "")
        raise VariantError(
            f"Git LFS stores {names}, and the content is not here: run `git lfs pull` in {repository.working_tree_dir}."
        )
    return found


def _attributes(listed: str) -> list[str]:
    """Return the names of the blobs of all .gitattributes files in `git ls-tree`'s output."""
    rows = (line.partition("\t") for line in listed.split("\0"))
    return [head.split(" ")[2] for head, _, path in rows if path.rpartition("/")[2] == ".gitattributes"]
