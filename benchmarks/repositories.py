"""How Cockpit takes public repositories: prints docs/repositories.md's table for a folder of their checkouts.

    python -m benchmarks.repositories CHECKOUTS

CHECKOUTS holds a clone for each repository, named OWNER+NAME. Nothing of them is run: each is read as `cockpit new`
reads it.
"""

import argparse
import shlex
import subprocess
from pathlib import Path

from cockpit.cli.guessing import FLAGS, needs_guess
from cockpit.core.errors import CockpitError
from cockpit.create.interpreter import chosen_environment
from cockpit.session.research_settings import ResearchSettings
from cockpit.variant.errors import VariantError
from cockpit.variant.guess.listing import Guessed, Listing
from cockpit.variant.guess.reading import read_listing
from cockpit.variant.guess.repository import Guess, guess_repository, other_names
from cockpit.variant.knobs.constants import find_constants
from cockpit.variant.seeding import find_seeding

HEAD = (
    "repository",
    "commit",
    "accepted",
    "file",
    "command",
    "metric",
    "direction",
    "knobs",
    "seed",
    "environment",
    "flags that it needs",
)
COMMIT_CHARACTERS = 7
COMMAND_CHARACTERS = 60


def row(folder: Path) -> list[str]:
    """Return the cells of one checkout."""
    name = folder.name.replace("+", "/", 1)
    try:
        commit = git(folder, "rev-parse", "HEAD")[:COMMIT_CHARACTERS]
        listing = read_listing(folder)
        guess = guess_repository(listing)
        is_default = not needs_guess(folder, ResearchSettings())
    except (CockpitError, OSError) as error:
        return [name, "", f"no: {error}", *[""] * (len(HEAD) - 3)]
    open_settings = [] if is_default else guess.questions
    accepted = "as it is" if is_default else "with flags" if open_settings else "with --yes"
    file = "train.py" if is_default else guess.file.value
    return [
        name,
        commit,
        accepted,
        shown(guess.file) if not is_default else "`train.py`",
        shown(guess.command),
        shown(guess.metric),
        shown(guess.direction),
        knobs(folder, file),
        seed(listing, file),
        environment(folder),
        "; ".join(flag(listing, guess, setting) for setting in open_settings),
    ]


def shown(guessed: Guessed) -> str:
    if not guessed.value:
        return "not found"
    more = f" (one of {len(guessed.candidates)})" if guessed.candidates else ""
    return f"`{str(guessed.value)[:COMMAND_CHARACTERS].replace('|', ' ')}`{more}"


def knobs(folder: Path, file: str) -> str:
    """Count the knobs of the file, which may be one that is not read for the guess."""
    try:
        return str(len(find_constants((folder / file).read_text("utf-8", "replace"), file))) if file else ""
    except (OSError, VariantError):
        return "unreadable"


def seed(listing: Listing, file: str) -> str:
    """Tell how the code takes a run's seed."""
    if not file:
        return ""
    if not file.endswith(".py"):
        return "not named"
    try:
        found = find_seeding({file: listing.texts.get(file, "")})
    except VariantError:
        return "unreadable"
    if found.is_fixed:
        return "none: `--seed-by add` adds it"
    return f"`{found.variable or found.option}`" if found.variable or found.option else "not named"


def environment(folder: Path) -> str:
    found, trouble = chosen_environment(folder)
    return found.file if found is not None else trouble.split(" names", 1)[0] or "none"


def flag(listing: Listing, guess: Guess, setting: str) -> str:
    """Word the flag that answers a question, with what it may be."""
    guessed: Guessed = getattr(guess, setting)
    if guessed.candidates:
        choices = " or ".join(shlex.quote(str(one.value))[:COMMAND_CHARACTERS] for one in guessed.candidates[:3])
        return f"`{FLAGS[setting]}` {choices}".replace("|", " ")
    names = other_names(listing, guess.file.value, guess.command.value) if setting == "metric" else []
    return f"`{FLAGS[setting]}`" + (f" (it prints {', '.join(names)})" if names else "")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="How Cockpit takes public repositories, as a Markdown table")
    parser.add_argument("checkouts", type=Path, metavar="CHECKOUTS", help="a folder of clones, each named OWNER+NAME")
    folders = sorted(path for path in parser.parse_args().checkouts.iterdir() if (path / ".git").exists())
    lines = [list(HEAD), ["---"] * len(HEAD), *(row(folder) for folder in folders)]
    for cells in lines:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
