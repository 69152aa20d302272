"""The events of clusters: their launches, their states and their ends."""

import msgspec

from cockpit.core.events import Event
from cockpit.core.model import Cluster


class Launching(Event):
    cluster: str


class ClusterUp(Event):
    cluster: str
    hardware: str
    usd_per_hour: float = 0.0
    gpus: int = 1
    spot: bool = False


class ClusterSeen(Event):
    """A cluster was adopted, or may be launched again."""

    cluster: Cluster


class ClusterFailed(Event):
    """A launch failed, or a cluster stopped answering."""

    cluster: str
    message: str
    retry_at: float = 0.0
    refused: bool = False  # the cloud had no capacity: nothing is wrong with the cluster
    billed: bool = False  # something of it may be up: it is billed until it is known to be down


class ClusterWaiting(Event):
    """A launch waits for capacity, and bills nothing. Without a message the wait is over."""

    cluster: str
    message: str


class LaunchStep(Event):
    """The step that a launch is at; it says nothing about money."""

    cluster: str
    message: str


class ClusterGivenUp(Event):
    """The cluster is not launched again. Any remains of it are taken down."""

    cluster: str
    message: str


class ClusterStopping(Event):
    """The cluster is about to be taken down."""

    cluster: str
    reason: str = ""


class ClusterDown(Event):
    """Nothing of the cluster is left billing."""

    cluster: str
    message: str = ""


class ClusterFlagged(Event, tag="ClusterSuspect"):
    """The controls of a cluster say that it does not measure like its class: its results are held back."""

    cluster: str
    message: str
    flagged: bool = msgspec.field(default=True, name="suspect")
    """False if the cluster measures like its class again."""
