"""Commands that print the status, results, logs and diffs of a session."""

from argparse import Namespace

from cockpit.cli.arguments import Command, add_json, add_session, add_session_option


def add(command: Command) -> None:
    it = command("status", _status, "show the state of a session")
    add_session(it)
    it.add_argument("-w", "--watch", action="store_true", help="print it again each 2 s, until interrupted")
    add_json(it)
    it = command("results", _results, "write autoresearch's results.tsv")
    add_session(it)
    it.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    it.add_argument("-q", "--query", metavar="QUERY", default="", help="only these, such as 'kept DEPTH=9 class:H200'")
    it = command("log", _log, "print an experiment's output")
    it.add_argument("experiment", metavar="EXPERIMENT", help="e0042 for its newest attempt, e0042.1 for one attempt")
    it.add_argument("-f", "--follow", action="store_true", help="continue until the attempt ends")
    it.add_argument("--raw", action="store_true", help="every byte: progress that overwrites itself is not thinned")
    add_session_option(it)
    it = command("diff", _diff, "print an experiment's change")
    it.add_argument("experiment", metavar="EXPERIMENT")
    it.add_argument("--against", metavar="EXPERIMENT", help="default: its base")
    add_session_option(it)


def _status(options: Namespace) -> None:
    from cockpit.cli.show import print_status, watch_status

    if options.watch:
        watch_status(options.session, options.json)
    else:
        print_status(options.session, options.json)


def _results(options: Namespace) -> None:
    from cockpit.cli.show import print_results

    print_results(options.session, options.output, options.query)


def _log(options: Namespace) -> None:
    from cockpit.cli.show import print_log

    print_log(options.session, options.experiment, options.follow, options.raw)


def _diff(options: Namespace) -> None:
    from cockpit.cli.show import print_diff

    print_diff(options.session, options.experiment, options.against)
