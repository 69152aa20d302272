"""Damage to a session's files: told, and repaired."""

from cockpit.cli.locate import session
from cockpit.session.repair import DamageReport, repair, verify


def print_damage(name: str | None) -> int:
    """Print what is damaged. Returns the exit status: 1 where anything is."""
    report = verify(session(name))
    _print(report)
    return int(bool(report.problems))


def repair_damage(name: str | None) -> None:
    """Keep what is whole, and print what was lost."""
    report = repair(session(name))
    _print(report)
    if report.kept_in:
        print(f"repaired; the damaged files are in {report.kept_in}")


def _print(report: DamageReport) -> None:
    for problem in report.problems:
        print(problem)
    lost = f", {report.lost} lost" if report.lost else ""
    print(f"{report.events} events are whole{lost}")
