"""Prepare the corpus of a session on this machine before the session starts."""

import sys
from collections.abc import Iterator
from pathlib import Path

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import as_set_up
from cockpit.scoring import sealed
from cockpit.scoring.contract import is_upstream
from cockpit.session import corpus
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import Settings

STDLIB, CLIMBMIX = "stdlib", "climbmix"
BAR_CELLS = 20
FETCH_WITHIN_S = 3600.0
"""Seconds that the sealed shard may take while a person sees how far it is."""


def ready_corpus(repo: Path, configured: Settings, cpu: bool) -> str:
    """Return the label of the corpus that a local session trains on, and prepare it if needed. Raises CorpusProblem."""
    if not corpus.takes_corpus(repo):
        if is_upstream(repo) and configured.research.rescore != "off":
            _fetch_sealed_shard(repo)
        return ""
    wanted = configured.session.corpus or (STDLIB if cpu else CLIMBMIX)
    if wanted not in (STDLIB, CLIMBMIX):
        raise CommandError(f"there is no corpus {wanted!r}: choose {CLIMBMIX} or {STDLIB}")
    return _prepared(repo, wanted)


def _fetch_sealed_shard(repo: Path) -> None:
    """Fetch the text that no run sees, once; without it the session says that its runs are self-scored."""
    path = sealed.sealed_shard(repo)
    if path is not None and not path.exists():
        try:
            show_progress("the sealed shard", sealed.fetch(repo, FETCH_WITHIN_S))
        except sealed.SealedShardProblem as error:
            print(f"cockpit: {error}", file=sys.stderr)


def _prepared(repo: Path, wanted: str) -> str:
    found = corpus.prepared_corpus(wanted)
    if found is None:
        show_progress(f"preparing the corpus {wanted}", corpus.run_prepare(repo, wanted))
        found = corpus.prepared_corpus(wanted)
    if found is None:
        raise CommandError(f"the corpus {wanted} is damaged: remove {corpus.data_folder() / wanted} and try again")
    return found.label


def restore_corpus(folder: SessionFolder) -> None:
    """Prepare the corpus of a session on this machine again if it is missing or damaged. Raises CorpusProblem.

    The same text gives the same corpus; the worker starts no run on a different one.
    """
    found = as_set_up(folder)
    if found is not None and found.fleet.kind == "local" and found.corpus:
        _prepared(Path(found.repo), found.corpus.partition(" ")[0])


def show_progress(title: str, steps: Iterator[tuple[int, str]]) -> None:
    """Show a progress bar on a terminal, and print a line for each step elsewhere."""
    if not sys.stderr.isatty():
        for percent, doing in steps:
            print(f"{title}: {percent}% {doing}", file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=BAR_CELLS),
        TextColumn("{task.percentage:>3.0f}%", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[doing]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, console=console, expand=True) as progress:
        task = progress.add_task(title, total=100, doing="")
        for percent, doing in steps:
            progress.update(task, completed=percent, doing=doing)
        progress.update(task, completed=100, doing="ready")
