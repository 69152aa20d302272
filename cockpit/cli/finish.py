"""`cockpit finish`: the kept changes of a session as a branch that a person can review and merge."""

from collections.abc import Iterator

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session, state_of
from cockpit.decide.kept_changes import unablated_summary
from cockpit.read.wording import count
from cockpit.report.finish import plan
from cockpit.report.reproduce import git_in
from cockpit.variant.review import write_review
from cockpit.variant.store import VariantStore

PREFIX = "review/"


def finish(name: str | None) -> None:
    """Write the branch review/SESSION and print its commits. Raises CommandError if nothing was kept."""
    for line in finished(name):
        print(line)


def finished(name: str | None) -> Iterator[str]:
    """Write the branch and yield the lines that tell about it."""
    folder = session(name)
    state = state_of(folder)
    found = plan(state)
    if not found.steps:
        raise CommandError(f"{folder.name} has kept no change: there is nothing to review")
    baseline, best = (state.experiments[one].commit for one in (state.baseline, state.incumbent))
    store = VariantStore.of(state.session)
    try:
        branch = f"{PREFIX}{state.session.name}"
        made = write_review(store, branch, baseline, found.steps, best, found.last_message)
    finally:
        store.close()
    if made.problem:
        raise CommandError(f"{made.problem}: rename it, or check out another branch, then try again")
    commits = count(len(made.subjects), "commit")
    yield f"branch {made.branch}: {commits} on {baseline[:12]}, with the files of {state.incumbent}"
    for subject in made.subjects:
        yield f"  {subject}"
    if found.dropped:
        yield f"dropped again by an ablation, and not in it: {', '.join(found.dropped)}"
    for subject in made.joined:
        yield f"! part of the last commit, because it could not be told apart from later changes: {subject}"
    yield f"`{git_in(state)} log -p {baseline[:12]}..{made.branch}` shows the commits"
    if left := unablated_summary(state):
        yield f"! {left}; `cockpit ablate {folder.name}` proposes it"
