"""Commands that read a session: the screens of a watcher, its status, results, report, logs and diffs."""

from argparse import Namespace

from cockpit.cli.arguments import Command, add_json, add_no_mouse, add_session, add_session_option, port, positive


def add(command: Command) -> None:
    it = command("watch", _watch, "watch a session, read-only")
    add_session(it)
    add_no_mouse(it)
    it.add_argument("--web", action="store_true", help="serve the screen to browsers that have its address")
    it.add_argument("--host", default="127.0.0.1", help="where --web listens (default: this machine alone)")
    it.add_argument("--port", type=port, default=8000, help="of --web (default: 8000; 0 for any free one)")
    it = command("replay", _replay, "play a stored session again")
    add_session(it)
    add_no_mouse(it)
    it.add_argument("--speed", type=positive, default=60.0, help="session seconds per second (default: 60)")
    it.add_argument("--html", action="store_true", help="write one page that plays it in a browser instead")
    it.add_argument(
        "-o", "--output", metavar="FILE", help="of --html (default: NAME-replay.html; - for standard output)"
    )
    it = command("status", _status, "show the state of a session")
    add_session(it)
    it.add_argument("-w", "--watch", action="store_true", help="print it again each 2 s, until interrupted")
    add_json(it)
    it = command("results", _results, "write autoresearch's results.tsv")
    add_session(it)
    it.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    it.add_argument("-q", "--query", metavar="QUERY", default="", help="only these, such as 'kept DEPTH=9 class:H200'")
    it = command("report", _report, "write a session's report: one HTML page, Markdown or a picture")
    add_session(it)
    form = it.add_mutually_exclusive_group()
    form.add_argument("--md", dest="form", action="store_const", const="md", help="as Markdown, for a pull request")
    form.add_argument("--png", dest="form", action="store_const", const="png", help="as a picture to share")
    it.add_argument("-o", "--output", metavar="FILE", help="default: NAME.html, .md or .png; - for standard output")
    it = command("export", _export, "write a table for notebooks: one row for each attempt")
    add_session(it)
    it.add_argument("-o", "--output", metavar="FILE", help="FILE.csv or FILE.parquet (default: NAME.csv; - for CSV)")
    it = command("mirror", _mirror, "write each attempt to Trackio once it has ended, until the worker stops")
    add_session(it)
    it = command("finish", _finish, "make a branch for review: one commit for each kept change, with its evidence")
    add_session(it)
    it = command("log", _log, "print an experiment's output")
    it.add_argument("experiment", metavar="EXPERIMENT", help="e0042 for its newest attempt, e0042.1 for one attempt")
    it.add_argument("-f", "--follow", action="store_true", help="continue until the attempt ends")
    it.add_argument("--raw", action="store_true", help="every byte: progress that overwrites itself is not thinned")
    add_session_option(it)
    it = command("diff", _diff, "print an experiment's change")
    it.add_argument("experiment", metavar="EXPERIMENT")
    it.add_argument("--against", metavar="EXPERIMENT", help="default: its base")
    add_session_option(it)


def _watch(options: Namespace) -> int:
    from cockpit.cli.screen import watch, watch_by_web

    if options.web:
        return watch_by_web(options.session, options.host, options.port)
    return watch(options.session, not options.no_mouse)


def _replay(options: Namespace) -> int:
    if options.html:
        from cockpit.cli.reporting import write_replay

        write_replay(options.session, options.output)
        return 0
    from cockpit.cli.screen import replay

    return replay(options.session, options.speed, not options.no_mouse)


def _status(options: Namespace) -> None:
    from cockpit.cli.show import print_status, watch_status

    if options.watch:
        watch_status(options.session, options.json)
    else:
        print_status(options.session, options.json)


def _results(options: Namespace) -> None:
    from cockpit.cli.show import print_results

    print_results(options.session, options.output, options.query)


def _report(options: Namespace) -> None:
    from cockpit.cli.reporting import write_report

    write_report(options.session, options.output, options.form or "html")


def _export(options: Namespace) -> None:
    from cockpit.cli.exporting import export

    export(options.session, options.output)


def _mirror(options: Namespace) -> None:
    from cockpit.cli.mirroring import mirror

    mirror(options.session)


def _finish(options: Namespace) -> None:
    from cockpit.cli.finish import finish

    finish(options.session)


def _log(options: Namespace) -> None:
    from cockpit.cli.show import print_log

    print_log(options.session, options.experiment, options.follow, options.raw)


def _diff(options: Namespace) -> None:
    from cockpit.cli.show import print_diff

    print_diff(options.session, options.experiment, options.against)
