"""Tell which runs of a new session are scored outside them, and why others are not."""

from pathlib import Path

from cockpit.core.metric import DEFAULT_NAME
from cockpit.core.session import FleetSpec, Session
from cockpit.create.checks import is_val_bpb
from cockpit.create.plan import Plan
from cockpit.read.checks import ARE_SELF_SCORED
from cockpit.scoring.contract import can_rescore, is_upstream
from cockpit.scoring.sealed import sealed_shard
from cockpit.session.corpus import has_sealed_shard
from cockpit.session.metric_settings import metric_of
from cockpit.session.research_settings import ResearchSettings


def rescored_runs(plan: Plan, spec: FleetSpec) -> str:
    """Return which runs have their score computed outside them; empty if none can: each prints its own score."""
    if spec.simulated or why_never_rescored(plan.settings.research, plan.repo):
        return ""
    # On the clusters the set-up makes the sealed shard, or the runner fetches it.
    return plan.settings.research.rescore if spec.kind == "sky" or _has_sealed_shard(plan) else ""


def _has_sealed_shard(plan: Plan) -> bool:
    if not is_upstream(plan.repo):
        return has_sealed_shard(plan.corpus.partition(" ")[0])
    sealed = sealed_shard(plan.repo)
    return sealed is not None and sealed.exists()


def why_never_rescored(research: ResearchSettings, repo: Path) -> str:
    """Return why no score of this code is computed from a saved model, in a clause; empty if one can be."""
    if research.rescore == "off":
        return "`[research] rescore` is off"
    if research.command:
        return "the command is your own"
    if not is_val_bpb(metric_of(research)):
        return f"only {DEFAULT_NAME} of a saved model is computed outside its run"
    return "" if can_rescore(repo) else "train.py has no save_model and load_model, or prepare.py no sealed_shard"


def why_self_scored(plan: Plan, session: Session) -> str:
    """Return why no score of the session is computed outside its run, in a sentence."""
    said = f"Runs {ARE_SELF_SCORED}: "
    if session.fleet.simulated:
        return said + "the fleet is simulated"
    if why := why_never_rescored(plan.settings.research, plan.repo):
        return said + why
    if is_upstream(plan.repo):
        return f"{said}{sealed_shard(plan.repo) or 'a sealed shard'} is missing; another session fetches it"
    name = plan.corpus.partition(" ")[0]
    return (
        f"{said}the corpus {name} has no sealed shard; run `python prepare.py --corpus {name}` before another session"
    )
