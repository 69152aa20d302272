"""`cockpit export`: the session as a table for a notebook."""

import sys
from pathlib import Path

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session, state_of
from cockpit.core.installation import install_command
from cockpit.read.wording import count
from cockpit.report.export import write_csv, write_parquet

PARQUET = ".parquet"


def export(name: str | None, output: str | None) -> None:
    """Write a row for each attempt, as CSV or, for a file that ends in .parquet, as Parquet."""
    folder = session(name)
    state = state_of(folder)
    if output == "-":
        write_csv(state, sys.stdout)
        return
    path = Path(output or f"{folder.name}.csv")
    if path.suffix == PARQUET:
        try:
            rows = write_parquet(state, path)
        except ImportError:
            needs = f"Parquet needs pyarrow: `{install_command('export')}`"
            raise CommandError(f"{needs}, or name a file that ends in .csv") from None
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = write_csv(state, file)
    else:
        raise CommandError(f"{path} is neither CSV nor Parquet: end its name in .csv or {PARQUET}")
    print(f"{count(rows, 'attempt')} written to {path}")
