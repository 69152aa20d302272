"""The list of sessions."""

from cockpit.cli.json_output import print_json
from cockpit.cli.locate import all_sessions, glance_at, sessions_folder
from cockpit.session import lock
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.paths import SessionFolder


def print_list(as_json: bool) -> None:
    """Print the sessions here, the last one used first: a line or a JSON object for each."""
    listed = [_listed(folder) for folder in all_sessions()]
    if as_json:
        print_json(listed)
        return
    if not listed:
        print(f"no session in {sessions_folder()} yet: `cockpit` makes one")
    for one in listed:
        if one["trouble"]:
            print(f"{one['session']:<16} {one['trouble']}")
            continue
        fleet = f"{one['fleet']} x{one['clusters']}"
        experiments = f"{one['experiments']:>6} experiments"
        simulated = "  SIMULATED" if one["simulated"] else ""
        print(f"{one['session']:<16} {fleet:<10} {one['mode']:<10} {one['worker']:<8} {experiments}{simulated}")


def _listed(folder: SessionFolder) -> dict[str, object]:
    row: dict[str, object] = {"session": folder.name, "folder": str(folder.root), "trouble": ""}
    try:
        state = glance_at(folder)
    except LedgerError as error:
        return row | {"trouble": str(error)}
    return row | {
        "fleet": state.session.fleet.kind,
        "clusters": len(state.clusters),
        "mode": str(state.mode),
        "worker": lock.worker_status(folder).state,
        "experiments": len(state.experiments),
        "simulated": state.session.fleet.simulated,
    }
