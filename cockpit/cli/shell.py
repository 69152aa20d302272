"""Commands for agents that have a shell alone: start a worker, and wait for news. Neither needs a terminal."""

from cockpit.cli.corpora import restore_corpus
from cockpit.cli.errors import CommandError
from cockpit.cli.json_output import print_json
from cockpit.cli.locate import refuse_imported, session
from cockpit.report.results import clean
from cockpit.session import lock
from cockpit.session.user import user_name


def start(session_name: str | None) -> None:
    """Start the session's worker where none runs."""
    from cockpit.session import worker_process

    folder = session(session_name)
    refuse_imported(folder)
    if lock.worker_status(folder).state != "stopped":
        print(f"the worker of {folder.name} runs already: `cockpit status {folder.name}` shows it")
        return
    restore_corpus(folder)
    worker_process.start(folder)
    print(f"the worker of {folder.name} is started: `cockpit status {folder.name}` shows it")


def wait(wave: str | None, session_name: str | None, seconds: float, author: str, as_json: bool) -> int:
    """Print the events since this agent last asked, or else the next news. Returns 1 for an unknown wave."""
    from cockpit.agent.outside import OutsideProposerApi
    from cockpit.agent.waiting import call_outside

    folder = session(session_name)
    api = OutsideProposerApi(folder, author or f"{user_name()}-agent")
    stopped = lock.worker_status(folder).state == "stopped"
    wanted = {"seconds": 1 if stopped else max(1, round(seconds)), **({"wave": wave} if wave else {})}
    try:
        answer = call_outside(api, "wait", wanted)
    finally:
        api.close()
    if answer.failed:
        raise CommandError(str(answer.body["error"]))
    if as_json:
        print_json(answer.body, indent=None)
    else:
        for line in answer.body["news"]:
            print(clean(line))
    if stopped:
        raise CommandError(f"the worker of {folder.name} is not running: `cockpit start {folder.name}` starts it")
    return 0
