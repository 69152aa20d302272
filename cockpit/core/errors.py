"""The errors that are made to be read.

    CockpitError                    one sentence that says what was wrong and what to do
    ├── LedgerError                 session: the ledger or the inbox cannot be used
    │   └── LedgerFull              the disk that holds it is full
    ├── SettingsError               session: cockpit.toml holds something invalid
    ├── CorpusProblem               session: the text to train on cannot be used
    ├── WorkerError                 session: the worker cannot be started or stopped
    ├── VariantError                variant: a change cannot become code
    ├── Refused                     decide: an intent cannot be carried out
    ├── BadArgument                 control: an argument of a verb is invalid
    ├── FleetError                  fleet: the fleet cannot be used at all
    ├── SkyError                    fleet: a call to SkyPilot failed
    ├── ClusterLost                 fleet: a SkyPilot cluster is gone or hangs
    ├── CreateError                 worker: a session cannot be made
    └── CommandError                cli: a command cannot do what it was told

A command that ends with one of them prints its sentence and exits with 1. Any other exception is a defect.
"""


class CockpitError(Exception):
    """One sentence, made to be read by the person or the agent who asked."""
