"""Write an accepted guess into cockpit.toml, after showing it and asking, so that later sessions need no guess."""

from pathlib import Path
from typing import Any

import msgspec

from cockpit.cli.errors import CommandError
from cockpit.report.results import clean
from cockpit.session import settings
from cockpit.session.paths import SETTINGS_FILE
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.small_files import replace_file

FIELDS = ("files", "command", "metric", "direction", "confine")
HEAD = "# Settings of Cockpit for this repository.\n\n"


class Accepted(msgspec.Struct, frozen=True):
    """Settings that a session was made with, and that cockpit.toml does not have."""

    values: dict[str, Any]
    evidence: dict[str, str]
    """The reason of each, as `cockpit new` has shown it."""

    def lines(self) -> list[str]:
        """Return the lines of cockpit.toml, their reasons as comments."""
        return with_values("", self).removeprefix("[research]\n").splitlines()


def accepted(repo: Path, taken: ResearchSettings, evidence: dict[str, str]) -> Accepted:
    """Return the settings among `taken` that cockpit.toml lacks."""
    before = settings.read_settings(repo).research
    pairs = ((field, getattr(taken, field), getattr(before, field)) for field in FIELDS)
    return Accepted({field: value for field, value, old in pairs if value != old and value not in ("", ())}, evidence)


def offer(found: Accepted, asks: bool) -> bool:
    """Show the lines. Returns True if a person at a terminal wants them in cockpit.toml."""
    if not found.values:
        return False
    if not asks:
        one_line = "; ".join(Accepted(found.values, {}).lines())
        print(f"{'kept':<10} in this session; for later ones write under [research] in {SETTINGS_FILE}: {one_line}")
        return False
    print(f"{SETTINGS_FILE}, [research]:")
    for line in found.lines():
        print(f"  {line}")
    answer = input(f"Write these lines to {SETTINGS_FILE}, so that later sessions need no guess? [Y/n] ")
    return answer.strip().lower() in ("", "y", "yes")


def write(repo: Path, found: Accepted) -> None:
    """Add the settings to cockpit.toml; the rest of it stays as it is. Raises CommandError."""
    path = repo / SETTINGS_FILE
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else HEAD
        replace_file(path, with_values(text, found).encode())
    except OSError as error:
        raise CommandError(f"the session was made, and {path} cannot be written: {error.strerror}") from None


def with_values(text: str, found: Accepted) -> str:
    """Return the text of cockpit.toml with the settings in [research]."""
    import tomlkit

    document = tomlkit.parse(text)
    table: Any = document.setdefault("research", tomlkit.table())
    for field, value in found.values.items():
        table[field] = list(value) if isinstance(value, tuple) else value
        if reason := clean(found.evidence.get(field, "")):
            table[field].comment(reason)
    return tomlkit.dumps(document)
