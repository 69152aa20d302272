"""`cockpit verify FILE`: check a certificate, and print what it proves and what it does not."""

from pathlib import Path

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import repository
from cockpit.fleet.node.code_evidence import in_one_line


def is_certificate(name: str) -> bool:
    """Return True if the name is that of a file, and not of a session."""
    return name.endswith(".json") or Path(name).is_file()


def print_check(name: str) -> int:
    """Print what the certificate proves and what it does not. Raises CertificateError if it does not hold."""
    from cockpit.certificate.check import check

    try:
        repo = repository(None)
    except CommandError:
        repo = None
    found = check(Path(name), repo)
    print(in_one_line(found.summary))
    print(f"certificate {found.digest}")
    for line in found.proves:
        print(f"  proves: {in_one_line(line)}")
    for line in found.does_not_prove:
        print(f"  does not prove: {in_one_line(line)}")
    return 0
