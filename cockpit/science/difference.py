"""The difference of two experiments, with what its runs show of their own noise."""

import msgspec


class Difference(msgspec.Struct, frozen=True):
    """A pooled difference in scores to the base; negative is better."""

    mean: float
    se: float
    rest_var: float
    """The part of its variance that does not come from the noise of the experiment's own runs."""
    runs_var: float
    """The part that does, if those runs are as noisy as the base's."""
    squares: float
    """Squared deviations of those runs from their mean, summed, in variances of the base's runs."""
    df: float
    """Degrees of freedom of `squares`; 0 for a single run."""
