"""Commands that test trust: the red team, and the audit of results from elsewhere."""

from argparse import Namespace

from cockpit.cli.arguments import Command, add_json, positive


def add(command: Command) -> None:
    it = command("redteam", _redteam, "run cheating and honest variants against the walls of this machine")
    it.add_argument("variants", nargs="*", metavar="NAME", help="default: all of them")
    it.add_argument("--short", action="store_true", help="the short set")
    it.add_argument("--seconds", type=positive, default=10.0, metavar="N", help="training of each (default: 10)")
    add_json(it)

    it = command("audit", _audit, "judge the claimed gains of results from elsewhere: real, not shown or invalid")
    it.add_argument(
        "path", metavar="PATH", help="a results.tsv in its repository, a folder of logs, or repeats in JSON"
    )
    it.add_argument("--metric", default="val_bpb", metavar="NAME", help="as its logs or its column name it")
    it.add_argument("--direction", default="", choices=["", "min", "max"], help="default: by the metric's name")
    add_json(it)


def _audit(options: Namespace) -> int:
    from cockpit.cli.audit import audit

    return audit(options.path, options.json, options.metric, options.direction)


def _redteam(options: Namespace) -> int:
    from cockpit.cli.redteam import redteam

    return redteam(options.variants, options.short, options.seconds, options.json)
