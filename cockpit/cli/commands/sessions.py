"""Commands that make, end and check sessions."""

from argparse import SUPPRESS, ArgumentParser, Namespace

from cockpit.cli.arguments import (
    Command,
    add_json,
    add_no_mouse,
    add_session,
    add_session_option,
    amount,
    positive,
    seed,
    whole,
)
from cockpit.cli.research_flags import add_research_flags, given_research_flags

NEW_FLAGS = (
    "fleet", "clusters", "hardware", "infra", "mode", "proposer", "agent", "corpus", "budget_usd",
    "budget_hours", "early_stopping", "seed", "prior",
)  # fmt: skip
"""Flags of `new` that are settings of the session."""
ENDS = {
    "drain": "let running attempts finish first",
    "cancel": "end running attempts without a result",
    "leave": "leave attempts running",
}
"""Ways to end a session, by what becomes of its running attempts."""


def add(command: Command) -> None:
    _add_new(command)
    it = command("init", _init, "start a research project in this empty folder")
    it.add_argument("--template", default="autoresearch", metavar="NAME", help="default: autoresearch")
    it.add_argument("--yes", action="store_true", help="do not ask")
    add_json(command("list", _list, "list the sessions here"))
    _add_ends(command)
    it = command("adopt", _adopt, "take over clusters that were launched by hand with `sky launch`")
    it.add_argument("clusters", nargs="+", metavar="CLUSTER")
    add_session_option(it)
    it = command("verify", _verify, "check a session's files for damage, or the certificate of a keep")
    add_session(it, "SESSION|FILE", "a session, or sessions/NAME/certificates/e0042.json")
    add_session(command("repair", _repair, "keep the undamaged events of a damaged session"))
    it = command("demo", _demo, "play a simulated night on 16 clusters")
    it.add_argument("--speed", type=positive, default=60.0, help="simulated seconds per second (default: 60)")
    it.add_argument("--clusters", type=whole, default=16, metavar="N", help="number of clusters (default: 16)")
    add_no_mouse(it)
    it = command("import", _import, "make an ended session of a results.tsv or a table of trials")
    it.add_argument("file", metavar="FILE", help="a results.tsv, or trials as .json or .csv")
    it.add_argument("--session", required=True, metavar="NAME", help="of the new session")
    it.add_argument("--night", default="", metavar="KEYS", help="one of several in a JSON file, such as TPE/0")
    it.add_argument("--metric", default="val_bpb", metavar="NAME", help="the column with the score (default: val_bpb)")
    it.add_argument("--direction", default="", choices=["", "min", "max"], help="default: by the metric's name")
    it.add_argument("--hardware", default="", metavar="CLASS", help="where the table does not say it, such as H200")
    it = command("doctor", _doctor, "list what is missing here, each item with its remedy")
    it.add_argument("--fleet", choices=["local", "sky", "sim"], default="local", help="the fleet to run on")
    add_json(it)


def _add_new(command: Command) -> None:
    it = command("new", _new, "make a session and start its worker")
    it.usage = "cockpit new [NAME] [OPTIONS]"
    it.epilog = "example: cockpit new night --mode autopilot --hours 8"
    it.add_argument("session", nargs="?", metavar="NAME", help="default: today's date")
    it.add_argument(
        "--repo", metavar="PATH", default=SUPPRESS, help="the repository to research (default: the one here)"
    )
    it.add_argument("--mode", choices=["manual", "copilot", "autopilot"], help="who decides (default: copilot)")
    it.add_argument("--hours", type=positive, dest="budget_hours", metavar="HOURS",
                    help="the session ends after this time")  # fmt: skip
    it.add_argument("--budget", type=amount, dest="budget_usd", metavar="DOLLARS",
                    help="GPU and API together (default: no cap)")  # fmt: skip
    it.add_argument("--agent", action="append", metavar="NAME|COMMAND",
                    help="an agent to start and ask: claude-code, codex, gemini, opencode, or a command; given again,"
                         " several at once, NAME=2 with twice the arms")  # fmt: skip
    it.add_argument("--proposer", metavar="NAME",
                    help="claude (default with a key), search, hybrid, tpe, grid, or an outside agent")  # fmt: skip
    it.add_argument("--fleet", choices=["local", "sky", "sim"],
                    help="this machine (the default), SkyPilot's clusters, or simulated ones")  # fmt: skip
    it.add_argument("--clusters", type=whole, metavar="N", help="default: this machine's slots, 16 elsewhere")
    sky = it.add_argument_group("SkyPilot")
    sky.add_argument("--hardware", metavar="CLASS:COUNT,…",
                     help="SkyPilot's classes, such as H100:13,H200:3 (default: experiment.yaml's)")  # fmt: skip
    sky.add_argument("--infra", help="where SkyPilot launches: k8s, slurm, aws …")
    runs = it.add_argument_group("runs")
    runs.add_argument("--corpus", help="climbmix or stdlib, on this machine (default: climbmix with a GPU)")
    runs.add_argument("--no-early-stopping", dest="early_stopping", action="store_const", const=False,
                      help="let every run finish")  # fmt: skip
    runs.add_argument("--seed", type=seed, help="of the first run of everything (default: 1337)")
    runs.add_argument(
        "--prior", action="append", metavar="FILE",
        help="findings of others, tried first: a results.tsv, or a session's export or report",
    )  # fmt: skip
    it.add_argument("--yes", action="store_true", help="take what is guessed of the repository, do not ask")
    add_research_flags(it)


def _add_ends(command: Command) -> None:
    it = command("stop", _stop, "end a session's worker")
    add_session(it)
    _add_ways(it, "drain", "cancel", "leave")
    it.add_argument("--yes", action="store_true", help="do not ask: drain")
    it.add_argument("--wait", type=amount, default=0.0, metavar="SECONDS", help="how long to wait for the end")
    it = command("down", _down, "end a session and take its clusters down, so that nothing is left billing")
    add_session(it)
    _add_ways(it, "drain", "cancel")
    it.add_argument("--yes", action="store_true", help="do not ask: cancel, unless --drain is given")
    it.add_argument("--wait", type=amount, default=600.0, metavar="SECONDS", help="for the clusters (default: 600)")


def _add_ways(it: ArgumentParser, *ways: str) -> None:
    how = it.add_mutually_exclusive_group()
    for way in ways:
        how.add_argument(f"--{way}", dest="how", action="store_const", const=way, help=ENDS[way])


def _new(options: Namespace) -> None:
    from cockpit.cli.making import estimate_sentences, new, notes, understood

    flags = {name: getattr(options, name) for name in NEW_FLAGS}
    folder = new(options.session, options.repo, flags, given_research_flags(options), yes=options.yes)
    for sentence in understood(folder):
        print(sentence)
    for note in notes(folder):
        print(f"! {note}")
    for sentence in estimate_sentences(folder):
        print(sentence)
    print(f"session {folder.name} runs in the background; `cockpit open {folder.name}` shows it")


def _import(options: Namespace) -> None:
    from cockpit.cli.importing import import_night

    import_night(options.file, options.session, options.night, options.metric, options.direction, options.hardware)


def _init(options: Namespace) -> None:
    from cockpit.cli.init import init

    init(options.template, options.yes)


def _list(options: Namespace) -> None:
    from cockpit.cli.listing import print_list

    print_list(options.json)


def _stop(options: Namespace) -> None:
    from cockpit.cli.ending import stop

    print(stop(options.session, options.how, options.yes, options.wait))


def _down(options: Namespace) -> None:
    from cockpit.cli.ending import down

    print(down(options.session, options.how, options.yes, options.wait))


def _adopt(options: Namespace) -> None:
    from cockpit.cli.adopt import adopt

    print(adopt(options.clusters, options.session))


def _verify(options: Namespace) -> int:
    from cockpit.cli.certificate import is_certificate, print_check
    from cockpit.cli.damage import print_damage

    if options.session and is_certificate(options.session):
        return print_check(options.session)
    return print_damage(options.session)


def _repair(options: Namespace) -> None:
    from cockpit.cli.damage import repair_damage

    repair_damage(options.session)


def _demo(options: Namespace) -> int:
    from cockpit.cli.demo import demo

    return demo(options.speed, options.clusters, not options.no_mouse)


def _doctor(options: Namespace) -> int:
    from cockpit.cli.doctor import doctor

    return doctor(options.repo, options.fleet, options.json)
