"""`cockpit verify` and `cockpit repair`: damage to a session's files is listed, and repaired."""

from cockpit.cli.locate import session
from cockpit.session.repair import DamageReport, repair, verify


def print_damage(name: str | None) -> int:
    """Print the damaged files. Returns the exit status: 1 if there are any."""
    report = verify(session(name))
    _print(report)
    return int(bool(report.problems))


def repair_damage(name: str | None) -> None:
    """Keep the undamaged events, and print the number of lost ones."""
    report = repair(session(name))
    _print(report)
    if report.kept_in:
        print(f"repaired; the damaged files are in {report.kept_in}")


def _print(report: DamageReport) -> None:
    for problem in report.problems:
        print(problem)
    lost = f", {report.lost} lost" if report.lost else ""
    print(f"{report.events} events are undamaged{lost}")
