"""`cockpit doctor`: check each requirement of a session, and print the remedy for a missing one. It changes nothing.

For SkyPilot it runs `sky check`, which starts SkyPilot's own API server if none runs.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cockpit.cli.doctor_sky import skypilot
from cockpit.cli.errors import CommandError
from cockpit.cli.finding import Finding
from cockpit.cli.json_output import print_json
from cockpit.cli.locate import repository, sessions_folder
from cockpit.cli.screen import smallest_terminal
from cockpit.core.hosted_agents import KNOWN_AGENTS, AgentError, HostedAgent, agent_of, install_hint
from cockpit.core.installation import install_command
from cockpit.create.access import is_confined
from cockpit.create.agents import agents_of
from cockpit.create.error import CreateError
from cockpit.create.rescoring import why_never_rescored
from cockpit.fleet.local.devices import cores, devices, driver_trouble
from cockpit.fleet.node import confinement
from cockpit.fleet.secret_names import is_secret
from cockpit.read.checks import ARE_SELF_SCORED
from cockpit.report.results import clean
from cockpit.scoring.contract import is_upstream
from cockpit.scoring.sealed import sealed_shard
from cockpit.session import corpus, settings
from cockpit.session.api_key import KeyHolder, NoKey
from cockpit.session.paths import SETTINGS_FILE
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.setting_types import SettingsError
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore
from cockpit.worker.agent_environment import agent_environment

ASK_S = 120.0
"""Timeout of `sky check` and `import torch`."""
FREE_BYTES = 2 << 30
TASK = "experiment.yaml"


def doctor(repo: str | None, fleet: str, as_json: bool) -> int:
    """Check everything and print it. Returns 1 if something is missing that this fleet needs."""
    findings = []
    for finding in check(repo, fleet):
        findings.append(finding)
        if not as_json:
            mark = "ok" if finding.ok else "MISSING" if finding.needed else "-"
            print(f"{mark:<8} {finding.about:<10} {clean(finding.said)}", flush=True)
            if finding.remedy:
                print(f"{'':<19} {clean(finding.remedy)}", flush=True)
    if as_json:
        print_json([msgspec.structs.asdict(finding) | {"ok": finding.ok} for finding in findings])
    return int(any(finding.needed and not finding.ok for finding in findings))


def check(repo: str | None, fleet: str) -> Iterator[Finding]:
    """Check one thing after the other."""
    yield _python()
    yield _git()
    where = None
    try:
        where = repository(repo)
    except CommandError as error:
        yield Finding("train.py", "not found", str(error))
    if where is not None:
        yield _repository(where)
        yield _settings(where)
    yield _terminal()
    yield _disk()
    if where is not None and corpus.takes_corpus(where):
        yield _corpus(needed=fleet == "local")
    yield _torch(needed=fleet == "local")
    yield _gpu()
    configured = _configured(where)
    yield _confinement(configured)
    yield agents_finding(configured)
    if where is not None:
        yield _scores(where, configured.research, fleet)
    yield _key(configured.agent.key_file)
    yield from skypilot(where, needed=fleet == "sky")


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("python", version)
    return Finding("python", version, "use Python 3.11, 3.12 or 3.13")


def _git() -> Finding:
    said = _said(["git", "--version"], 10)
    if said is None:
        return Finding("git", "not found", "install git: variants are stored as git objects")
    return Finding("git", said.removeprefix("git version "))


def _repository(where: Path) -> Finding:
    try:
        store = VariantStore(where, "doctor")
    except VariantError as error:
        return Finding("repository", str(where), str(error))
    store.close()
    return Finding("repository", str(where))


def _settings(where: Path) -> Finding:
    try:
        settings.read_settings(where)
    except SettingsError as error:
        return Finding("settings", SETTINGS_FILE, f"{error}")
    there = (where / SETTINGS_FILE).exists()
    return Finding("settings", f"{SETTINGS_FILE} is valid" if there else f"no {SETTINGS_FILE}: the defaults")


def _configured(where: Path | None) -> settings.Settings:
    """Return the repository's settings; the defaults if they cannot be read."""
    try:
        return settings.read_settings(where) if where else settings.Settings()
    except SettingsError:
        return settings.Settings()


def _terminal() -> Finding:
    if not sys.stdout.isatty():
        return Finding(
            "terminal", "not a terminal", "run `cockpit` in a terminal; `cockpit status` needs none", needed=False
        )
    size = os.get_terminal_size()
    colours = os.environ.get("COLORTERM") or os.environ.get("TERM", "")
    said = f"{size.columns}x{size.lines}, {colours}"
    columns, rows = smallest_terminal()
    if size.columns < columns or size.lines < rows:
        return Finding("terminal", said, f"make it {columns}x{rows} or larger; 120x34 shows all panes")
    if os.environ.get("TERM", "") in ("", "dumb"):
        return Finding("terminal", said, "set TERM, for example to xterm-256color")
    return Finding("terminal", said)


def _disk() -> Finding:
    folder = sessions_folder()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        return Finding("disk", f"{nearest} cannot be written", "set COCKPIT_SESSIONS to a writable folder")
    free = shutil.disk_usage(nearest).free
    said = f"{free / (1 << 30):.1f} GiB free at {nearest}"
    return Finding(
        "disk", said, "" if free >= FREE_BYTES else "free some space: logs and the corpus need room", needed=False
    )


def _corpus(needed: bool) -> Finding:
    names = [name for name in ("climbmix", "stdlib") if corpus.prepared_corpus(name)]
    if names:
        return Finding("corpus", f"{' and '.join(names)} in {corpus.data_folder()}")
    return Finding(
        "corpus",
        f"none prepared in {corpus.data_folder()}",
        "nothing to do: the first session prepares one; `python prepare.py` does it now",
        needed=False,
    )


def _torch(needed: bool) -> Finding:
    said = _said([sys.executable, "-c", "import torch; print(torch.__version__, torch.cuda.is_available())"], ASK_S)
    if said is None:
        return Finding("torch", "not installed", f"`{install_command('local')}`, to train on this machine", needed)
    version, _, cuda = said.rpartition(" ")
    return Finding("torch", f"{version}, {'with' if cuda == 'True' else 'without'} CUDA")


def _gpu() -> Finding:
    if found := devices():
        return Finding("GPU", ", ".join(device.hardware for device in found))
    said = driver_trouble()
    return Finding(
        "GPU",
        f"none{f' (nvidia-smi: {said})' if said else ''}: experiments run on {cores()} cores, at the small preset",
        "for GPUs elsewhere: `cockpit new NAME --fleet sky`",
        needed=False,
    )


def _confinement(configured: settings.Settings) -> Finding:
    """Check how runs and agents on this machine are kept from the person's files and from each other."""
    found = confinement.available()
    if found.wall is confinement.Wall.NONE:
        remedy = "install bubblewrap; without it runs and agents see this user's files and the network"
        said = f"runs and hosted agents are unconfined: {found.reason}"
        return Finding("walls", said, remedy, needed=False)
    walls = {"runs": _why_runs_are_unconfined(configured.research)}
    walls["hosted agents"] = "" if configured.agent.confined else "`[agent] confined` is false"
    by = "bubblewrap" if found.wall is confinement.Wall.BUBBLEWRAP else f"Landlock ({found.reason})"
    confined = " and ".join(who for who, why in walls.items() if not why)
    free = [f"{who} are unconfined: {why}" for who, why in walls.items() if why]
    return Finding("walls", "; ".join([*([f"{confined} are confined by {by}"] if confined else []), *free]))


def _why_runs_are_unconfined(research: ResearchSettings) -> str:
    """Return why the settings leave runs unconfined, in a clause; empty if they confine them."""
    try:
        if is_confined(research):
            return ""
    except CreateError:  # `cockpit new` refuses such a command, with the reason
        return ""
    setting = "false" if research.confine is False else "left out, and their command is not Python"
    return f"`[research] confine` is {setting}"


def agents_finding(configured: settings.Settings) -> Finding:
    """Check the agents of the settings; without any, list the known ones on this machine."""
    try:
        agents = [*agents_of(configured), *(agent_of(name, agent.command) for name, agent in configured.agents.items())]
    except (CreateError, AgentError) as error:
        return Finding("agents", "the settings name one that cannot be started", str(error))
    for agent in agents:
        if shutil.which(agent.command[0]) is None:
            remedy = install_hint(agent) or f"install {agent.command[0]}"
            return Finding("agents", f"the command {agent.command[0]} of {agent.name} is not here", remedy)
    agents = list({agent.name: agent for agent in agents}.values())
    if not agents:
        agents = [known for known in map(agent_of, KNOWN_AGENTS) if shutil.which(known.command[0])]
    if not agents:
        remedy = "; ".join(f"{name}: `{known.install}`" for name, known in KNOWN_AGENTS.items())
        return Finding("agents", "none is here for `cockpit new --agent`", f"to install one, {remedy}", needed=False)
    return Finding("agents", "; ".join(_inheritance(configured, agent) for agent in agents))


def _inheritance(configured: settings.Settings, agent: HostedAgent) -> str:
    """Return the variables that look like secrets among those that an agent would inherit from this shell."""
    own = configured.agents.get(agent.name, settings.NamedAgent())
    found = agent_environment(agent, (*configured.agent.env, *own.env), os.environ)
    secrets = ", ".join(sorted(filter(is_secret, found))) or "no key and no token"
    return f"{agent.name} inherits {len(found)} variables, {secrets} among them"


def _scores(where: Path, research: ResearchSettings, fleet: str) -> Finding:
    """Check if the score of a would-be keep is computed outside its run, on this machine and on SkyPilot."""
    if research.score_command:
        return Finding("scores", f"`{research.score_command}` scores each run after its end")
    if why := why_never_rescored(research, where):
        return Finding("scores", f"runs {ARE_SELF_SCORED}: {why}")
    if is_upstream(where) and fleet == "sky":
        said = "the score of a would-be keep is computed outside its run; a node fetches the sealed shard for that"
        return Finding("scores", said)
    if is_upstream(where):
        sealed = sealed_shard(where)
        found = sealed is not None and sealed.exists()
        said = "the score of a would-be keep is computed outside its run" if found else "no sealed shard is here yet"
        return Finding("scores", said, "" if found else "starting a session fetches it", needed=False)
    names = [name for name in ("climbmix", "stdlib") if corpus.prepared_corpus(name)]
    lacking = [name for name in names if not corpus.has_sealed_shard(name)]
    if lacking:
        remedy = f"`python prepare.py --corpus {lacking[0]}` makes it"
        said = f"runs on {lacking[0]} {ARE_SELF_SCORED}: it has no sealed shard"
        return Finding("scores", said, remedy, needed=False)
    return Finding("scores", "the score of a would-be keep is computed outside its run")


def _key(key_file: str) -> Finding:
    try:
        KeyHolder(key_file).read()
    except NoKey as error:
        remedy = str(error).removeprefix("There is no API key: ")
        return Finding("API key", "not found: experiments are proposed without a model", remedy, needed=False)
    return Finding("API key", "found in ANTHROPIC_API_KEY or the key file")


def _said(command: list[str], timeout_s: float) -> str | None:
    """Return the output of a command; None if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
