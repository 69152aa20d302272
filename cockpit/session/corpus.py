"""Find and prepare the text that a session trains on, from prepare.py's output and without importing it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.installation import install_command

SECRET = "ANTHROPIC_"
"""Prefix of the variables that prepare.py, which a repository brings, must not see; it may need proxies and tokens of
its own."""
CPU_BUDGET_S = 30.0
CUDA_BUDGET_S = 300.0

_LINE = re.compile(r"^prepare: (\d+)% (.*)")


class CorpusProblem(CockpitError):
    """The corpus cannot be used; the message is one sentence that says what to do."""


class PreparedCorpus(msgspec.Struct, frozen=True):
    """A corpus that is ready to train on."""

    name: str
    fingerprint: str

    @property
    def label(self) -> str:
        return f"{self.name} {self.fingerprint[:8]}"


def data_folder() -> Path:
    """Return the folder that holds every prepared corpus."""
    return Path(os.environ.get("COCKPIT_DATA_DIR") or Path.home() / ".cache" / "autoresearch")


def paths_of(label: str) -> dict[str, str]:
    """Return the folder of the corpus of that label by its name."""
    name = label.partition(" ")[0]
    return {name: str((data_folder() / name).absolute())}


def takes_corpus(repo: Path) -> bool:
    """Return True if cockpit can ask this repository's prepare.py for a corpus; other repositories prepare their
    own."""
    try:
        return "COCKPIT_DATA_DIR" in (repo / "prepare.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def prepared_corpus(name: str) -> PreparedCorpus | None:
    """Return the corpus `name` if it is ready to train on; None if it is missing, empty or torn."""
    folder = data_folder() / name
    try:
        manifest = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
        for file, recorded in manifest["files"].items():
            if (folder / file).stat().st_size != recorded["bytes"]:
                return None
        return PreparedCorpus(str(manifest["corpus"]), str(manifest["fingerprint"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def has_sealed_shard(name: str) -> bool:
    """Return True if the corpus has a validation shard that no run may see, beside the folder of the corpora."""
    folder = data_folder()
    try:
        sealed = json.loads((folder / name / "corpus.json").read_text(encoding="utf-8"))["sealed"]["file"]
        return bool(name) and (folder.with_name(f"{folder.name}-sealed") / name / sealed).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def mismatch(label: str) -> str:
    """Return one sentence on why a run here would not train on the corpus of that label; empty if it would."""
    name = label.partition(" ")[0]
    found = prepared_corpus(name)
    if found is not None and found.label == label:
        return ""
    where = data_folder() / name
    if found is None:
        what = f"{where} is missing, empty or torn: run `python prepare.py --corpus {name}`, or set COCKPIT_DATA_DIR to"
        return f"the session trains on {label}, and {what} the folder that has it"
    return (
        f"the session trains on {label}, and {where} holds {found.label}: set COCKPIT_DATA_DIR to the folder that has"
        " it, or make another session, since scores of different corpora are never compared"
    )


def run_prepare(repo: Path, name: str) -> Iterator[tuple[int, str]]:
    """Run prepare.py for the corpus, yielding (percent, current step). Raises CorpusProblem."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRET)}
    environment |= {"COCKPIT_DATA_DIR": str(data_folder()), "PYTHONUNBUFFERED": "1"}
    run = subprocess.Popen(
        [sys.executable, "prepare.py", "--corpus", name],
        cwd=repo, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    )  # fmt: skip
    last = ""
    assert run.stdout is not None
    try:
        for line in run.stdout:
            if found := _LINE.match(line):
                yield int(found[1]), found[2]
            elif line.strip():
                last = line.strip()
    except BaseException:  # the caller has gone; a later run resumes the download
        run.terminate()
        raise
    finally:
        code = run.wait()
    if code:
        raise CorpusProblem(_problem(last, name))


def _problem(last: str, name: str) -> str:
    if "No module named" in last:
        return f"{last}: install what train.py needs here with `{install_command('local')}`"
    return f"the corpus {name} could not be prepared: {last.removeprefix('FAIL: ')}"
