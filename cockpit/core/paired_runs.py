"""Word how many of an estimate's runs were paired by seed."""


def paired_words(runs: int, pairs: int) -> str:
    """Return a clause that follows the number of runs; empty without pairs."""
    if not pairs:
        return ""
    return ", paired by seed" if pairs == runs else f", {pairs} of them paired by seed"
