"""The names of SkyPilot that are private or deprecated there, all in this file, each with its reason.

A newer SkyPilot may move them without a word: `tests/fleet/test_sky_names.py` calls each on the installed one.
"""

from typing import Any

REASON_CHARACTERS = 400
"""Characters that are shown of a cluster's reason, which its cloud and its pods write."""
TESTED = ("0.14.1",)
"""The versions of SkyPilot that the suite passed on; docs/skypilot.md says which parts of the labs ran on them."""


def parse_yaml(text: str) -> Any:
    """Parse as SkyPilot does, duplicate keys refused. `sky.utils.yaml_utils` is not documented; Task.from_yaml_str,
    which is, cannot add the owner's mark to what a cluster's record keeps."""
    from sky.utils import yaml_utils

    yaml_utils.check_no_duplicate_keys(text)
    documents = [one for one in yaml_utils.safe_load_all(text) if one is not None]
    if len(documents) > 1 and isinstance(documents[0], dict) and set(documents[0]) <= {"name"}:
        documents = documents[1:]  # the name of a pipeline, which `sky launch` takes before a single task too
    if len(documents) > 1:
        raise ValueError(f"it has {len(documents)} tasks: a run is one task, without `---`")
    return documents[0] if documents else {}


def yaml_text(config: Any) -> str:
    """Return the text of a task, as SkyPilot writes it."""
    from sky.utils import yaml_utils

    return str(yaml_utils.dump_yaml_str(config))


def api_server_is_local() -> bool:
    """Return True if the API server runs on this machine, or SkyPilot no longer reports it: no public call does."""
    try:
        from sky.server import common

        return bool(common.is_api_server_local())
    except Exception:  # SkyPilot may move or break what it does not document
        return True


def read_mark(record: Any) -> str:
    """Return the text of the task that a cluster was launched with. `last_creation_yaml` is not documented; without it
    a cluster's owner is unknown, and it counts as launched by hand."""
    return str(record.get("last_creation_yaml") or "")


def init_reason(record: Any) -> str:
    """Return why a cluster is not up, as one line. `init_status_reason` is not documented; without it the reason is not
    shown."""
    return " ".join(str(record.get("init_status_reason") or "")[:REASON_CHARACTERS].split())


def is_being_launched(record: Any) -> bool:
    """Return True for a cluster that a launch works on, of any user. `init_kind` is not documented; without it
    a cluster that somebody launches again counts as lost."""
    return bool(record.get("init_kind") == "launching")


def is_of_this_user(record: Any, sdk: Any) -> bool:
    """Return True for a cluster whose owner is the user of this client. `user_hash` of a record and of this machine are
    not documented; `api_info` has a user where the API server knows its users."""
    from sky.utils import common_utils

    user = sdk.api_info().user
    return bool(record["user_hash"] == (user.id if user is not None else common_utils.get_user_hash()))


def quota_problem(resources: Any) -> str:
    """Return why the cloud that SkyPilot would choose grants nothing for these resources; empty if it may.

    `check_quota_available` and the optimizer are not documented: SkyPilot asks them itself at each launch, which is too
    late for a night. They use the credentials of this machine, and know a quota of 0 alone.
    """
    import sky
    from sky import optimizer

    task = sky.Task(run="true")
    task.set_resources(resources)
    with sky.Dag() as dag:
        dag.add(task)
    try:
        optimizer.Optimizer.optimize(dag, quiet=True)
        best = task.best_resources
        if best is None or best.cloud.check_quota_available(best):
            return ""
    except Exception:  # no offer, or a cloud that reports none: a dry run finds the first, a launch tries the second
        return ""
    kind = "spot machines of " if best.use_spot else ""
    return f"{best.cloud} grants no quota for {kind}{best.instance_type} in {best.region}"
