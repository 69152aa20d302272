"""The commands, thin: what they are called and take. What they do is in `cockpit.commands`."""

import argparse
import errno
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial

from cockpit import __version__
from cockpit.cli.arguments import Parser, add_arguments, add_common, amount, port, positive, seed, whole
from cockpit.control.verbs import VERBS, Verb
from cockpit.core.errors import CockpitError
from cockpit.session import api_key

Run = Callable[[argparse.Namespace], int | None]
Command = Callable[..., argparse.ArgumentParser]

NO_MOUSE = "leave the mouse to the terminal"
FAILED = 1
"""Exit status of a command that could not do what it was told; 2 is argparse's, for words that mean nothing."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 where it did what it was asked, 1 with one sentence where it could not."""
    api_key.hide()
    top = parser()
    arguments = top.parse_args(argv)
    if arguments.repo is not None and not arguments.takes_repo:
        top.error("--repo is for new, open and doctor: a session that is named researches its own repository")
    try:
        status = arguments.run(arguments)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        sys.stderr.close()
        status = 0
    except (CockpitError, OSError) as error:
        sentence = _sentence(error)
        if not sentence:
            raise
        status = FAILED
        if getattr(arguments, "json", False) is True:
            print(json.dumps({"error": sentence}))
        print(f"cockpit: {sentence}", file=sys.stderr)
    sys.exit(status or 0)


def _sentence(error: CockpitError | OSError) -> str:
    """The sentence of an error that can be foreseen; empty for another, which is a defect."""
    if isinstance(error, CockpitError):
        return str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        which = f"the disk that holds {error.filename}" if error.filename else "the disk"
        return f"{which} is full: free some space, then try again"
    if not error.filename:
        return ""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"you may not use {error.filename} ({error.strerror}): check its owner and permissions"
    return f"{error.filename}: {error.strerror}"


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="cockpit", description="Run parallel autoresearch: with no command, open the current session or make one."
    )
    top.add_argument("--version", action="version", version=f"cockpit {__version__}")
    top.add_argument("--repo", metavar="PATH", help="the repository to research (default: the one here)")
    top.add_argument("--no-mouse", action="store_true", help=NO_MOUSE)
    top.set_defaults(run=_open, session=None, takes_repo=True)
    commands = top.add_subparsers(metavar="COMMAND", parser_class=Parser)

    def command(name: str, run: Run, text: str, takes_session: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.set_defaults(run=run, takes_repo=name in ("new", "open", "doctor"))
        if takes_session:
            made.add_argument("session", nargs="?", metavar="SESSION", help="default: the one used last")
        return made

    _sessions(command)
    _looking(command)
    _steering(command)
    _agents(command)
    return top


def _sessions(command: Command) -> None:
    _on_screen(command("open", _open, "open a session, its worker started where none runs"))
    it = command("new", _new, "make a session and start its worker", False)
    _new_flags(it)
    it = command("init", _init, "start a research project in this empty folder", False)
    it.add_argument("--template", default="autoresearch", metavar="NAME", help="default: autoresearch")
    it.add_argument("--yes", action="store_true", help="do not ask")
    it = command("list", _list, "list the sessions here", False)
    it.add_argument("--json", action="store_true", help="as JSON, for scripts and agents")
    it = command("stop", _stop, "end a session's worker")
    how = it.add_mutually_exclusive_group()
    how.add_argument("--drain", dest="how", action="store_const", const="drain", help="let what runs finish first")
    how.add_argument("--cancel", dest="how", action="store_const", const="cancel", help="end what runs, without result")
    how.add_argument("--leave", dest="how", action="store_const", const="leave", help="what runs goes on by itself")
    it.add_argument("--yes", action="store_true", help="do not ask: drain")
    it.add_argument("--wait", type=amount, default=0.0, metavar="SECONDS", help="how long to wait for the end")
    it = command("down", _down, "end a session and take its clusters down, so that nothing is left billing")
    how = it.add_mutually_exclusive_group()
    how.add_argument("--drain", dest="how", action="store_const", const="drain", help="let what runs finish first")
    how.add_argument("--cancel", dest="how", action="store_const", const="cancel", help="end what runs, without result")
    it.add_argument("--yes", action="store_true", help="do not ask: cancel, unless --drain says otherwise")
    it.add_argument("--wait", type=amount, default=600.0, metavar="SECONDS", help="for the clusters (default 600)")
    it = command("adopt", _adopt, "take over clusters that were launched by hand with `sky launch`", False)
    it.add_argument("clusters", nargs="+", metavar="CLUSTER")
    it.add_argument("-s", "--session", metavar="NAME", help="default: the one used last")
    it = command("demo", _demo, "play a simulated night on 16 clusters", False)
    it.add_argument("--speed", type=positive, default=60.0, help="simulated seconds a second (default 60)")
    it.add_argument("--clusters", type=whole, default=16, metavar="N", help="how many (default 16)")
    _on_screen(it)
    it = command("doctor", _doctor, "say what is missing here, each thing with its remedy", False)
    it.add_argument("--fleet", choices=["local", "sky", "sim"], default="local", help="what it is to run on")
    it.add_argument("--json", action="store_true", help="as JSON, for scripts and agents")


def _looking(command: Command) -> None:
    it = command("watch", _watch, "watch a session, read-only")
    _on_screen(it)
    it.add_argument("--web", action="store_true", help="serve the screen to browsers that have its address")
    it.add_argument("--host", default="127.0.0.1", help="where --web listens (default: this machine alone)")
    it.add_argument("--port", type=port, default=8000, help="of --web (default 8000; 0 for any that is free)")
    it = command("replay", _replay, "play a stored session again")
    _on_screen(it)
    it.add_argument("--speed", type=positive, default=60.0, help="session seconds a second (default 60)")
    it = command("status", _status, "show how a session stands")
    it.add_argument("--json", action="store_true", help="the whole of it, for scripts and agents")
    command("verify", _verify, "check a session's files for damage")
    command("repair", _repair, "keep what is whole of a damaged session")
    it = command("results", _results, "write autoresearch's results.tsv")
    it.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    it = command("report", _report, "write a session's report, one HTML file")
    it.add_argument("-o", "--output", metavar="FILE", help="default: NAME.html; - for standard output")
    it = command("log", _log, "print an experiment's output", False)
    it.add_argument("experiment", metavar="EXPERIMENT", help="its newest run; e0042.1 for that very one")
    it.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    it.add_argument("-s", "--session", metavar="NAME", help="default: the one used last")
    it = command("diff", _diff, "print what an experiment changed", False)
    it.add_argument("experiment", metavar="EXPERIMENT")
    it.add_argument("--against", metavar="EXPERIMENT", help="default: its base")
    it.add_argument("-s", "--session", metavar="NAME", help="default: the one used last")


def _agents(command: Command) -> None:
    it = command("tool", _tool, "carry out one of an agent's tools and print its answer as JSON", False)
    it.add_argument("tool", nargs="?", metavar="NAME")
    it.add_argument("session", nargs="?", metavar="SESSION", help="default: the one used last")
    it.add_argument("--json", default="{}", metavar="{…}", help="the tool's arguments; - to read them")
    it.add_argument("--as", default="", dest="author", metavar="WHO", help="under which name (default: USER-agent)")
    it.add_argument("--list", action="store_true", help="every tool with the schema of its arguments")
    command("mcp", _mcp, "serve the tools to an outside agent: MCP over standard input and output")
    it = command("transcript", _transcript, "print the exchange with the model")
    it.add_argument("--turns", type=whole, default=0, metavar="N", help="the last N only")


def _on_screen(it: argparse.ArgumentParser) -> None:
    it.add_argument("--no-mouse", action="store_true", default=argparse.SUPPRESS, help=NO_MOUSE)


def _steering(command: Command) -> None:
    it = command("propose", _propose, "propose a wave: NAME=VALUE,VALUE… for each factor", False)
    it.add_argument("factors", nargs="+", metavar="NAME=VALUES")
    it.add_argument("--question", default="", help="what it is to settle")
    it.add_argument("--base", default="", help="the experiment to build on (default: the incumbent)")
    it.add_argument("--replicates", type=whole, default=1, metavar="N", help="runs of each arm (default 1)")
    it.add_argument("--arms", type=whole, metavar="N", help="at most so many: of a larger grid a fraction")
    it.add_argument("--validate", action="store_true", help="run it on the better class")
    it.add_argument("--approve", action="store_true", help="and approve it at once")
    add_common(it)
    it = command("ablate", _ablate, "propose to drop each kept change once, to see whether it still helps", False)
    it.add_argument("session", nargs="?", metavar="SESSION", help="default: the one used last")
    it.add_argument("--approve", action="store_true", help="and approve it at once")
    it.add_argument("--json", action="store_true", help="answer in one JSON object")
    for verb in VERBS:
        it = command(verb.name, partial(_steer, verb), verb.help, False)
        add_arguments(it, verb)


def _new_flags(it: argparse.ArgumentParser) -> None:
    it.add_argument("session", nargs="?", metavar="NAME", help="default: today's date")
    it.add_argument(
        "--repo", metavar="PATH", default=argparse.SUPPRESS, help="what to research (default: the one here)"
    )
    it.add_argument("--fleet", choices=["local", "sky", "sim"],
                    help="this machine (the default), clusters of SkyPilot's, or simulated ones")  # fmt: skip
    it.add_argument("--clusters", type=whole, metavar="N", help="default: this machine's slots, 16 elsewhere")
    it.add_argument("--hardware", metavar="CLASS:COUNT,…",
                    help="of SkyPilot's, such as H100:13,H200:3 (default: experiment.yaml's)")  # fmt: skip
    it.add_argument("--infra", help="where SkyPilot launches: k8s, slurm, aws …")
    it.add_argument("--mode", choices=["manual", "copilot", "autopilot"], help="who decides (default: copilot)")
    it.add_argument("--proposer", metavar="NAME",
                    help="claude (default with a key), search, hybrid, tpe, grid, an outside agent")  # fmt: skip
    it.add_argument("--corpus", help="climbmix or stdlib, on this machine (default: climbmix with a GPU)")
    it.add_argument("--time-budget", type=positive, dest="time_budget_s", metavar="SECONDS",
                    help="training in one run (default: prepare.py's)")  # fmt: skip
    it.add_argument("--time-limit", type=positive, dest="time_limit_s", metavar="SECONDS",
                    help="a run past it has failed (default: 600, or twice the budget)")  # fmt: skip
    it.add_argument("--budget", type=amount, dest="budget_usd", metavar="DOLLARS",
                    help="GPU and API together (default: no cap)")  # fmt: skip
    it.add_argument("--hours", type=positive, dest="budget_hours", metavar="HOURS",
                    help="the session ends by itself after these")  # fmt: skip
    it.add_argument("--no-early-stopping", dest="early_stopping", action="store_const", const=False,
                    help="let every run go on to its end")  # fmt: skip
    it.add_argument("--seed", type=seed, help="of the first run of everything (default: 1337)")


NEW_FLAGS = (
    "fleet", "clusters", "hardware", "infra", "mode", "proposer", "corpus", "time_budget_s", "time_limit_s",
    "budget_usd", "budget_hours", "early_stopping", "seed",
)  # fmt: skip


def _open(given: argparse.Namespace) -> int:
    from cockpit.cli.sessions import open_session

    return open_session(given.session, given.repo, not given.no_mouse)


def _watch(given: argparse.Namespace) -> int:
    from cockpit.cli.sessions import watch, watch_by_web

    if given.web:
        return watch_by_web(given.session, given.host, given.port)
    return watch(given.session, not given.no_mouse)


def _replay(given: argparse.Namespace) -> int:
    from cockpit.cli.sessions import replay

    return replay(given.session, given.speed, not given.no_mouse)


def _new(given: argparse.Namespace) -> None:
    from cockpit.cli.model_cost import estimate_sentence
    from cockpit.cli.sessions import new, notes

    folder = new(given.session, given.repo, {name: getattr(given, name) for name in NEW_FLAGS})
    for note in notes(folder):
        print(f"! {note}")
    if estimate := estimate_sentence(folder):
        print(estimate)
    print(f"session {folder.name} runs in the background; `cockpit open {folder.name}` shows it")


def _init(given: argparse.Namespace) -> None:
    from cockpit.cli.init import init

    init(given.template, given.yes)


def _list(given: argparse.Namespace) -> None:
    from cockpit.cli.sessions import print_list

    print_list(given.json)


def _doctor(given: argparse.Namespace) -> int:
    from cockpit.cli.doctor import doctor

    return doctor(given.repo, given.fleet, given.json)


def _status(given: argparse.Namespace) -> None:
    from cockpit.cli.show import print_status

    print_status(given.session, given.json)


def _steer(verb: Verb, given: argparse.Namespace) -> None:
    from cockpit.cli.steer import steer

    steer(verb, given)


def _propose(given: argparse.Namespace) -> None:
    from cockpit.cli.propose import propose

    propose(given)


def _ablate(given: argparse.Namespace) -> None:
    from cockpit.cli.propose import ablate

    ablate(given)


def _results(given: argparse.Namespace) -> None:
    from cockpit.cli.show import print_results

    print_results(given.session, given.output)


def _report(given: argparse.Namespace) -> None:
    from cockpit.cli.show import write_report

    write_report(given.session, given.output)


def _log(given: argparse.Namespace) -> None:
    from cockpit.cli.show import print_log

    print_log(given.session, given.experiment, given.follow)


def _verify(given: argparse.Namespace) -> int:
    from cockpit.cli.damage import print_damage

    return print_damage(given.session)


def _repair(given: argparse.Namespace) -> None:
    from cockpit.cli.damage import repair_damage

    repair_damage(given.session)


def _diff(given: argparse.Namespace) -> None:
    from cockpit.cli.show import print_diff

    print_diff(given.session, given.experiment, given.against)


def _stop(given: argparse.Namespace) -> None:
    from cockpit.cli.ending import stop

    print(stop(given.session, given.how, given.yes, given.wait))


def _down(given: argparse.Namespace) -> None:
    from cockpit.cli.ending import down

    print(down(given.session, given.how, given.yes, given.wait))


def _adopt(given: argparse.Namespace) -> None:
    from cockpit.cli.adopt import adopt

    print(adopt(given.clusters, given.session))


def _demo(given: argparse.Namespace) -> int:
    from cockpit.cli.demo import demo

    return demo(given.speed, given.clusters, not given.no_mouse)


def _tool(given: argparse.Namespace) -> int:
    from cockpit.cli.agents import list_tools, tool
    from cockpit.cli.locate import CommandError

    if given.list:
        return list_tools()
    if not given.tool:
        raise CommandError("name a tool: `cockpit tool --list` shows them")
    return tool(given.tool, given.session, given.json, given.author)


def _mcp(given: argparse.Namespace) -> int:
    from cockpit.cli.agents import serve_mcp

    return serve_mcp(given.session)


def _transcript(given: argparse.Namespace) -> int:
    from cockpit.cli.agents import print_transcript

    return print_transcript(given.session, given.turns)


if __name__ == "__main__":
    main()
