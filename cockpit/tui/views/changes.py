"""The change of an experiment with short names of constants, for places with little room."""

from cockpit.core.model import Experiment
from cockpit.read.changes import change_parts
from cockpit.tui.figures import bare, short_name
from cockpit.tui.plain import plain


def short_change(experiment: Experiment) -> str:
    """Return `AR 96  MAT .04  code +1 −1`."""
    return "  ".join(f"{plain(short_name(name))} {plain(bare(said))}" for name, said in change_parts(experiment))
