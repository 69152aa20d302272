"""Sum up early stopping in a sentence."""

from cockpit.core.totals import EarlyStops


def early_stopping_summary(stops: EarlyStops) -> str:
    """Sum up the savings and mistakes of early stopping in a sentence; empty before it has ended or checked a run."""
    if not stops.ended and not stops.checked:
        return "" if stops.on else "every run runs to its end: early stopping is off"
    ended = "1 hopeless run" if stops.ended == 1 else f"{stops.ended} hopeless runs"
    runs = f"{ended} ended early, {stops.saved_s / 3600:.1f} hours saved"
    if not stops.checked:
        checked = "none let run on to check it yet"
    else:
        checked = f"of {stops.checked} let run on to check it {stops.mistaken} would have been ended wrongly"
    return f"{runs}; {checked}" + ("" if stops.on else "; off now")
