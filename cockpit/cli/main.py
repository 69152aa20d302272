"""The command line: runs one command, and turns its errors into a sentence and an exit status."""

import contextlib
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from io import TextIOWrapper

from cockpit.cli.errors import UsageError, exit_status, sentence_of
from cockpit.cli.json_output import print_json
from cockpit.cli.parser import parser
from cockpit.core.errors import CockpitError
from cockpit.session import api_key


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit. An expected error is one sentence, and a JSON object too under --json."""
    api_key.hide()
    _print_in_any_encoding()
    words = sys.argv[1:] if argv is None else list(argv)
    as_json = "--json" in words
    try:
        try:
            options = _parsed(words)
            as_json = options.json is not False
            status = options.run(options) or 0
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where an error of the last write has its sentence
    except (KeyboardInterrupt, BrokenPipeError) as error:
        status = exit_status(error)
    except (CockpitError, OSError) as error:
        sentence = sentence_of(error)
        if not sentence:
            raise
        status = exit_status(error)
        if as_json:
            with contextlib.suppress(OSError):
                print_json({"error": sentence}, indent=None)
        print(f"cockpit: {sentence}", file=sys.stderr)
    _drop_unwritten()
    sys.exit(status)


def _print_in_any_encoding() -> None:
    """Make a letter that the terminal's encoding lacks an escape, and not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_unwritten() -> None:
    """Drop output that cannot be written, or Python would fail on it once more at the end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(words: Sequence[str]) -> Namespace:
    """Read the command line. Raises UsageError."""
    options = parser(words).parse_args(words)
    if options.session is None:
        options.session = getattr(options, "named_session", None)
    if options.repo is not None and not options.takes_repo:
        raise UsageError("--repo is for new, open and doctor: a named session researches its own repository")
    return options


if __name__ == "__main__":
    main()
