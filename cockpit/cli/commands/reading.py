"""Commands that show a session on a screen, and write its report and tables."""

from argparse import Namespace

from cockpit.cli.arguments import Command, add_no_mouse, add_session, port, positive


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
