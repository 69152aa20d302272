"""The way in which a session's code receives a run's seed: `Session.seed_by`.

Besides the two constants it is `env:NAME`, a variable; `arg:--FLAG`, an option of the command line, or `arg:seed=`
where the option and the number are one word; or empty, for the variable SEED, which every run gets and which the code
may or may not read.
"""

NO_SEED = "none"
"""The code fixes its own seed: its repeats are the same run, and no evidence."""
ADDED_SEED = "added"
"""The session's copy of the code was changed to read the variable SEED."""

IS_A_SEED = "it is a seed"
"""The reason why no proposal varies a knob that the code seeds itself with."""
