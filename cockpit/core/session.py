"""The record of a session as it was created: its repository, rules, fleet and budget."""

import msgspec

from cockpit.core.knobs import KnobRange
from cockpit.core.metric import VAL_BPB, Metric
from cockpit.core.model import Value


class ClusterSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    hardware: str = ""
    """Empty if the launch decides."""
    usd_per_hour: float = 0.0
    device: str = ""
    """The names of the devices of a slot on this machine, joined by commas; empty for none."""
    device_variable: str = ""
    """The variable that limits a run to them; empty for CUDA_VISIBLE_DEVICES."""
    gpus: int = 1


class FleetSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """The clusters of a session, fixed when it is made."""

    kind: str
    """`local`, `sim`, `sky` or `imported`."""
    clusters: tuple[ClusterSpec, ...]
    depth: int = 1
    """Attempts a cluster may hold: with 2 the next one is queued behind the running one."""
    simulated: bool = False
    screen_hardware: str = ""
    """The plentiful class, for the screen tier; empty if the fleet has one class."""
    validate_hardware: str = ""
    """The better class, for the validate tier."""
    infra: str = ""
    speed: float = 1.0
    """Simulated seconds per second; 0 for as fast as possible."""
    seed: int = 0


class RunAccess(msgspec.Struct, frozen=True, omit_defaults=True):
    """The access of a run on this machine beyond its own folder and environment."""

    confine: bool = False
    """Runs are confined if the machine can. Sessions made before confinement existed have none."""
    network: bool = False
    readable: tuple[str, ...] = ()  # folders and files that a run may read: data, checkpoints to start from
    environment: tuple[str, ...] = ()
    """Names and patterns of variables that a run inherits beside the usual ones."""
    links: dict[str, str] = {}
    """Paths in a run's folder that lead outside it, such as a data folder, to their targets."""
    artifacts: tuple[str, ...] = ()  # patterns of the files of a kept experiment that survive its run
    artifacts_mb: float = 0.0
    import_roots: tuple[str, ...] = ()  # folders of the repository's tree that Python imports from first


USUAL_BUDGET_S = 300.0
"""The training time of a run in autoresearch."""


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """One research run, as it was created."""

    name: str
    repo: str
    commit: str
    """The person's commit that the baseline was taken from."""
    fleet: FleetSpec
    created_at: float
    created_by: str
    corpus: str = ""
    """The training text with its fingerprint. Scores on different texts are never compared."""
    preset: str = ""
    metric: Metric = VAL_BPB
    time_budget_s: float = USUAL_BUDGET_S
    """The training time of a run; 0 if it is unknown."""
    time_limit_s: float = 600.0
    """A run that takes longer is cancelled, and counts as failed."""
    budget_usd: float = 0.0
    """GPU and API dollars together; 0 for no cap."""
    budget_hours: float = 0.0
    """The session ends after this; 0 for no end."""
    proposer: str = "search"
    seed: int = 1337
    seed_by: str = ""  # see `cockpit.core.seeds`
    script: str = "train.py"
    """The script among the editable files, by its path in `repo`."""
    files: tuple[str, ...] = ()  # the editable files by path, the script included; empty for the script alone
    protected: tuple[str, ...] = ()  # globs of the files that no edit may change, and that runs get read-only
    run_command: tuple[str, ...] = ()
    """The command that starts a run; empty for this Python and the script."""
    constants: dict[str, Value] = {}
    """The baseline's constants; `ranges` are those that a person set, or that the code states."""
    ranges: dict[str, KnobRange] = {}
    data: dict[str, str] = {}  # the paths of the data that runs read, by name: their content is measured
    early_stopping: bool = True
    """Hopeless runs are ended, at the start of the session; a person may switch it later."""
    access: RunAccess = RunAccess()
    rescore: str = ""
    """The runs that are scored outside them: `keeps`, the confirmations of would-be keeps; `all`; empty for none."""
    id: str = ""
    """Part of its clusters' and jobs' names in SkyPilot, which others share; empty for plain names."""

    @property
    def editable(self) -> tuple[str, ...]:
        """The editable files by path."""
        return self.files or (self.script,)

    @property
    def expected_training_s(self) -> float:
        """The training time of a run; autoresearch's if it is unknown."""
        return self.time_budget_s or USUAL_BUDGET_S
