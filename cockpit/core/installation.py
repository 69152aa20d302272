"""The command that adds an extra to this Cockpit: a checkout, or a wheel in an environment with or without pip."""

import importlib.util
import shlex
import sys
from pathlib import Path

PACKAGE = "cockpit"
ROOT = Path(__file__).parents[2]


def install_command(extra: str) -> str:
    """Return the command. A wheel that is already installed needs no source: the extra's packages are added to it."""
    if is_checkout():
        return f"pip install -e '.[{extra}]'"
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if importlib.util.find_spec("pip") else f"uv pip install --python {python}"
    return f"{pip} '{PACKAGE}[{extra}]'"


def is_checkout() -> bool:
    """Return True if this code runs from a checkout: the project file lies beside the package, unlike in a wheel."""
    return (ROOT / "pyproject.toml").is_file()
