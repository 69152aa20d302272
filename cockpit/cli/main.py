"""The command line: runs one command, and turns its errors into a sentence and an exit status."""

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
        options = _parsed(words)
        as_json = options.json is not False
        status = options.run(options) or 0
    except KeyboardInterrupt as error:
        status = exit_status(error)
    except BrokenPipeError as error:
        sys.stderr.close()
        status = exit_status(error)
    except (CockpitError, OSError) as error:
        sentence = sentence_of(error)
        if not sentence:
            raise
        status = exit_status(error)
        if as_json:
            print_json({"error": sentence}, indent=None)
        print(f"cockpit: {sentence}", file=sys.stderr)
    sys.exit(status)


def _print_in_any_encoding() -> None:
    """Make a letter that the terminal's encoding lacks an escape, and not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
