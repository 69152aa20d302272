"""The tree of errors that carry one sentence for the person or agent who asked.

    CockpitError                    one sentence that says what was wrong and what to do
    ├── LedgerError                 session: the ledger or the inbox cannot be used
    │   ├── LedgerFull              the disk that holds it is full
    │   ├── LedgerBusy              another program holds it for too long
    │   └── LedgerDamaged           its content is not what was written
    ├── MetricError                 core: a setting of the metric is invalid
    ├── AgentError                  core: the words name no agent
    ├── SettingsError               session: cockpit.toml holds something invalid
    ├── CorpusProblem               session: the text to train on cannot be used
    ├── WorkerError                 session: the worker cannot be started or stopped
    ├── WorkerWasStopped            worker: its process was stopped, and continues
    ├── SteeringError               session: an intent was refused, or this user may only watch
    ├── NoAnswer                    session: the worker has not answered in time
    ├── NoKey                       session: the API key cannot be read
    ├── TemplateError               session: a template cannot be laid in a folder
    ├── VariantError                variant: a change cannot become code
    ├── BadQuery                    read: a query on results cannot be answered
    ├── CertificateError            certificate: a certificate cannot be made or checked
    ├── RedteamError                redteam: the range of cheats cannot run
    ├── AuditError                  audit: results from elsewhere cannot be read
    ├── Refused                     decide: an intent cannot be carried out
    ├── BadArgument                 control: an argument of a verb is invalid
    │   └── NoArmLeft               no arm of a proposal is left
    ├── FleetError                  fleet: the fleet cannot be used at all
    ├── SkyError                    fleet: a call to SkyPilot failed
    ├── RegistryError               fleet: a registry gives no answer about an image
    ├── ClusterLost                 fleet: a SkyPilot cluster is gone or hangs
    ├── ProposalError               agent: a proposal is invalid
    ├── ToolError                   agent: a call of a tool failed
    ├── MirrorBusy                  report: another process mirrors the session already
    ├── InputError                  create: a run's input cannot be linked
    ├── KnobSettingError            create: a range of [research.knobs] does not fit the code
    ├── SeedSettingError            create: the setting seed_by does not fit the code
    ├── SetupError                  create: the environment of the runs cannot be used
    ├── TrialError                  create: the trial run cannot start
    ├── CreateError                 create: a session cannot be made
    └── CommandError                cli: a command cannot be carried out
        └── UsageError              the command line is wrong

A command that fails with one of them prints the sentence and exits with the status in `cockpit.cli.errors.EXIT_STATUS`.
Any other exception is a defect.
"""


class CockpitError(Exception):
    """An error with one sentence for the person or the agent who asked."""
