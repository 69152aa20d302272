"""Tell the person what they should know before the first run."""

import re
from collections.abc import Mapping
from pathlib import Path

from cockpit.core.events import Event, Said, Trouble
from cockpit.core.metric import DEFAULT_NAME, direction_of, tells_direction
from cockpit.core.nearest import did_you_mean
from cockpit.core.session import Session
from cockpit.create.data_paths import outside_data
from cockpit.create.knob_ranges import knobs_note
from cockpit.create.links import input_notes
from cockpit.create.plan import Plan
from cockpit.create.rescoring import why_self_scored
from cockpit.create.scorer_imports import edited_imports
from cockpit.create.sky_session import read_task_file
from cockpit.create.time_budget import OwnBudget, budget_note
from cockpit.fleet.local.devices import driver_trouble
from cockpit.fleet.printed_names import plain, spelt
from cockpit.variant.guess.printed import printed_in_text, printed_names
from cockpit.variant.inputs import Inputs
from cockpit.variant.store import Variant


def notes_of(plan: Plan, session: Session, variant: Variant, at: float) -> list[Event]:
    """Tell the person what they should know before the first run."""
    notes: list[Event] = []
    if variant.note:
        notes.append(Trouble(at=at, text=variant.note))
    if session.rescore == "" and not session.metric.score_command and plan.settings.research.rescore != "off":
        notes.append(Said(at=at, author="cockpit", text=why_self_scored(plan, session)))
    if session.fleet.kind != "sim" and not session.access.confine and plan.settings.research.confine is None:
        notes.append(Said(at=at, author="cockpit", text=_unconfined(plan.settings.research.command)))
    if session.metric.name != DEFAULT_NAME or session.metric.is_higher_better:
        text = f"The metric is {session.metric.name}, {session.metric.better}"
        name, given = session.metric.name, plan.settings.research.direction
        if not given and not tells_direction(name):
            text += ", because its name tells no direction: --direction max changes that"
        elif given and tells_direction(name) and direction_of(name) is not session.metric.direction:
            text += f", as --direction {given} says; its name tells the other direction"
        notes.append(Said(at=at, author="cockpit", text=text))
    if edited := edited_imports(plan.repo, session.metric.score_command, session.editable):
        notes.append(Trouble(at=at, text=_scored_by(edited)))
    if meant := _misspelt(plan, session):
        notes.append(Trouble(at=at, text=meant))
    is_on_cores = session.fleet.kind == "local" and session.fleet.clusters[0].hardware == "CPU"
    if is_on_cores and (said := driver_trouble()):
        notes.append(Trouble(at=at, text=f"nvidia-smi lists no GPU, so runs are on the cores; it says: {said}"))
    if session.fleet.kind == "sky":
        for word in read_task_file(plan.repo, session.fleet.infra).words:
            notes.append(Said(at=at, author="cockpit", text=f"experiment.yaml: {word}"))
    notes.append(knobs_note(session, at))
    if session.run_command and not plan.settings.research.command:
        notes.append(
            Said(at=at, author="cockpit", text=f"Runs use the repository's own Python, {session.run_command[0]}")
        )
    notes += [Said(at=at, author="cockpit", text=text) for text in _linked(session.access.links)]
    if session.proposer == "grid" and not plan.settings.session.proposer:
        text = "No API key, so grid proposes. `cockpit doctor` says where Claude's key goes; then `:proposer claude`."
        notes.append(Said(at=at, author="cockpit", text=text))
    return notes


def _linked(links: Mapping[str, str]) -> list[str]:
    """Return the sentences on the links of a run's folder: those to inputs, and those that lead to nothing."""
    there = [path for path, target in links.items() if Path(target).exists()]
    gone = [path for path in links if path not in there]
    said = [f"Runs read these paths, which git does not store: {', '.join(there)}"] if there else []
    return said + ([f"These links lead to nothing here, and no code names them: {', '.join(gone)}"] if gone else [])


def _unconfined(command: str) -> str:
    return f"Runs are unconfined, because `{command}` may need files that no setting names: --confine confines them"


def _scored_by(edited: list[str]) -> str:
    return (
        f"The score command imports {', '.join(edited)}, which experiments edit: an edit can change its own score;"
        " import nothing that is edited, or read such scores as the runs' own words"
    )


def _misspelt(plan: Plan, session: Session) -> str:
    """Return the question about a metric that the script does not name, where it prints one of nearly that name."""
    metric = session.metric
    if not plan.settings.research.metric or metric.pattern or metric.score_command:
        return ""
    try:
        source = (plan.repo / session.script).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # the checks of the script tell
    if re.search(spelt([metric.name]), source, re.IGNORECASE):
        return ""
    printed = printed_names(source) if session.script.endswith(".py") else printed_in_text(source)
    names = list(dict.fromkeys(one.name for one in printed))
    if any(plain(metric.name).endswith(f"_{plain(name)}") for name in names):
        return ""  # the start of the name may be printed from a variable, or above the value
    meant = did_you_mean(metric.name, names)
    return f"{session.script} prints no {metric.name}: {meant}" if meant else ""


def budget_notes(plan: Plan, own: OwnBudget, at: float) -> list[Event]:
    """Tell of a training time that ends no run."""
    note = "" if plan.settings.session.fleet == "sim" else budget_note(plan.settings.research.time_budget_s, own)
    return [Trouble(at=at, text=note)] if note else []


def input_notes_of(plan: Plan, found: Inputs, session: Session, at: float) -> list[Event]:
    if session.fleet.kind != "local":
        return []
    research = plan.settings.research
    notes = input_notes(found, session.script, research.env, session.seed_by)
    if outside := [path for path in outside_data(found, research.env, plan.repo) if path in research.readable]:
        notes.append(f"Runs may read {', '.join(outside)}, which the code names and which lies outside the repository")
    return [Said(at=at, author="cockpit", text=note) for note in notes]
