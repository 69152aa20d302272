"""The time that launches took in a session, and the cost of one that is under way."""

from cockpit.core.cluster_events import ClusterDown, ClusterUp, ClusterWaiting, Launching
from cockpit.core.fold import fold
from cockpit.core.state import State
from cockpit.read.launches import launch_figures, launch_note
from cockpit.read.needs import NeedKind, needs
from cockpit.read.state_words import NO_CAPACITY, cluster_word
from tests.tui import stories


def launched(state: State, name: str, at: float, took_s: float) -> None:
    fold(state, ClusterDown(at=at, cluster=name))
    fold(state, Launching(at=at, cluster=name))
    fold(state, ClusterUp(at=at + took_s, cluster=name, hardware="H100", usd_per_hour=36.0))


def test_a_launch_shows_its_cost_and_how_long_earlier_ones_took() -> None:
    story = stories.night()
    state, at = story.state, story.at
    for cluster in state.clusters.values():
        cluster.launch_s = 0.0
    first, second, third = list(state.clusters)[:3]
    launched(state, first, at, 180.0)
    fold(state, ClusterDown(at=at + 200, cluster=third))
    fold(state, Launching(at=at + 200, cluster=third))
    cluster = state.clusters[third]
    cluster.usd_per_hour, cluster.hardware = 36.0, "H100"
    assert launch_note(state, cluster, at + 260) == "1 launch took 3m00s here, $0.60 until now"
    launched(state, second, at + 300, 240.0)
    assert launch_note(state, cluster, at + 260) == "2 launches took 3m30s here, $0.60 until now"
    assert launch_figures(state, cluster, at + 260) == " of ~3m30s  $0.60"
    assert launch_note(state, state.clusters[first], at + 600) == "", "it is up"
    assert launch_figures(state, state.clusters[first], at + 600) == ""


def test_time_in_a_clouds_queue_is_neither_counted_nor_billed() -> None:
    story = stories.night()
    state, at = story.state, story.at
    for cluster in state.clusters.values():
        cluster.launch_s = 0.0
    first = next(iter(state.clusters))
    fold(state, ClusterDown(at=at, cluster=first))
    fold(state, Launching(at=at, cluster=first))
    state.clusters[first].usd_per_hour = 36.0
    fold(state, ClusterWaiting(at=at + 50, cluster=first, message="it waits"))
    assert launch_note(state, state.clusters[first], at + 900) == "$0.50 until now"
    fold(state, ClusterWaiting(at=at + 1000, cluster=first, message=""))
    fold(state, ClusterUp(at=at + 1100, cluster=first, hardware="H100", usd_per_hour=36.0))
    assert state.clusters[first].launch_s == 150.0


def test_a_cluster_that_its_cloud_has_no_capacity_for_is_waiting_and_not_lost() -> None:
    state = stories.launching().state
    waiting = state.clusters["gpu-07"]
    assert cluster_word(state, waiting) == NO_CAPACITY
    (need,) = (one for one in needs(state, state.now) if one.about == waiting.name)
    assert need.kind is NeedKind.WAITING and need.short == "gpu-07 waits for capacity"
    assert "no capacity for H200" in need.sentence
