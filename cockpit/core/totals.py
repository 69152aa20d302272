"""Totals of finished work: money, time, and the runs that were ended early."""

import msgspec


class Spend(msgspec.Struct, omit_defaults=True):
    """Money and time of finished work; GPU dollars follow from the clusters' seconds, in `cockpit.decide.budget`."""

    gpu_hours: float = 0.0
    """Hours of runs; the clusters hold their idle time."""
    reserved_usd: float = 0.0
    """For attempts in flight."""
    api_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class EarlyStops(msgspec.Struct, omit_defaults=True):
    """The time that early stopping has saved, and its mistakes."""

    on: bool = True
    ended: int = 0
    saved_s: float = 0.0
    """For each ended run, the session's median run time less the time it had run."""
    checked: int = 0
    """Runs whose early stop was skipped, and that gave a result."""
    mistaken: int = 0
    """Checked runs that were better than the score they were not expected to reach."""
