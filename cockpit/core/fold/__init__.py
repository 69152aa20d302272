"""Fold: how each event changes the state."""

from cockpit.core.fold.fold import fold, fold_all

__all__ = ["fold", "fold_all"]
