"""Make the record of a new session from its settings and its repository."""

import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cockpit.core.model import Value
from cockpit.core.session import FleetSpec, RunAccess, Session
from cockpit.create.access import access_of
from cockpit.create.agents import first_agent
from cockpit.create.checks import check_local_modules
from cockpit.create.command import command_words, own_command
from cockpit.create.data_paths import data_paths
from cockpit.create.import_roots import import_roots
from cockpit.create.knob_ranges import knob_ranges, preset_ranges
from cockpit.create.plan import Plan
from cockpit.create.rescoring import rescored_runs
from cockpit.create.time_budget import OwnBudget, budget_of
from cockpit.session import api_key
from cockpit.session.corpus import takes_corpus
from cockpit.session.metric_settings import metric_of
from cockpit.session.research_settings import files_of, script_of
from cockpit.session.settings import Settings
from cockpit.session.user import user_name

TIME_LIMIT_S = 600.0


def session_record(
    plan: Plan, spec: FleetSpec, head: str, texts: Mapping[str, str], constants: dict[str, Value],
    links: dict[str, str], budget: OwnBudget, at: float,
) -> Session:  # fmt: skip
    """Return the record. `head` is the person's commit, `texts` are the editable files at it."""
    new, research = plan.settings.session, plan.settings.research
    files, script = files_of(research), script_of(research)
    preset = _preset(spec, plan.repo)
    budget_s = budget_of(research.time_budget_s, preset, budget)
    command = _command(plan, spec, script, texts)
    ranges = preset_ranges(plan.repo, preset, constants) | knob_ranges(texts, constants, research.knobs)
    return Session(
        name=plan.name,
        repo=str(plan.repo),
        commit=head,
        fleet=spec,
        created_at=at,
        created_by=user_name(),
        corpus=plan.corpus,
        preset=preset,
        metric=metric_of(research),
        time_budget_s=budget_s,
        time_limit_s=research.time_limit_s or max(TIME_LIMIT_S, 2 * budget_s),
        budget_usd=new.budget_usd,
        budget_hours=new.budget_hours,
        proposer=new.proposer or _first_proposer(plan.settings),
        seed=new.seed,
        script=script,
        files=() if files == (script,) else files,
        protected=research.protected,
        run_command=command,
        constants=constants,
        ranges=ranges,
        early_stopping=new.early_stopping,
        id=f"s{secrets.token_hex(3)}" if spec.kind == "sky" else "",
        access=_access(plan, spec, links, command),
        rescore=rescored_runs(plan, spec),
        data=data_paths(spec, plan.repo, research, links),
    )


def _command(plan: Plan, spec: FleetSpec, script: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of a run; empty for Cockpit's Python, which must have what the script imports."""
    command = command_words("command", plan.settings.research.command) or own_command(_python(plan, spec), script)
    if spec.kind == "local" and not command:
        check_local_modules(script, texts.get(script, ""))
    return command


def _access(plan: Plan, spec: FleetSpec, links: dict[str, str], command: tuple[str, ...]) -> RunAccess:
    access = access_of(plan.settings, plan.repo, links, spec.kind == "sky")
    if spec.kind != "local":
        return access
    return msgspec.structs.replace(access, import_roots=import_roots(plan.repo, command, _python(plan, spec)))


def _first_proposer(settings: Settings) -> str:
    """Return the proposer of a session whose settings name none."""
    return first_agent(settings) or ("claude" if has_key(settings) else "grid")


def has_key(settings: Settings) -> bool:
    """Return True if there is a key for Claude. Only the worker reads the key itself."""
    file = settings.agent.key_file
    return bool(api_key.held()) or (bool(file) and Path(file).expanduser().exists())


def _python(plan: Plan, spec: FleetSpec) -> str:
    """Return the Python of the repository's own environment: as planned, else that of its `.venv`."""
    python = plan.repo / ".venv" / "bin" / "python"
    return "" if spec.kind != "local" else plan.python or (str(python) if python.exists() else "")


def _preset(spec: FleetSpec, repo: Path) -> str:
    """Return prepare.py's preset for the fleet's hardware; empty if the first run reports it, or if it has none."""
    if not takes_corpus(repo):
        return ""
    if spec.kind == "local" and not spec.clusters[0].device:
        return "cpu-small"
    return "cuda" if spec.screen_hardware else ""
