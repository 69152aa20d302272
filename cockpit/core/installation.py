"""The command that adds an extra to this Cockpit: a checkout, or a wheel in an environment with or without pip."""

import importlib.metadata
import importlib.util
import json
import shlex
import sys

PACKAGE = "cockpit"


def install_command(extra: str) -> str:
    """Return the command. A wheel that is already installed needs no source: the extra's packages are added to it."""
    if is_checkout():
        return f"pip install -e '.[{extra}]'"
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if importlib.util.find_spec("pip") else f"uv pip install --python {python}"
    return f"{pip} '{PACKAGE}[{extra}]'"


def is_checkout() -> bool:
    """Tell if this code is a checkout: installed as one, or not installed at all."""
    try:
        origin = importlib.metadata.distribution(PACKAGE).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return True
    try:
        return bool(json.loads(origin or "{}").get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False
