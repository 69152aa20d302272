"""Whether a cluster is still there: asked of its cloud and of the cluster itself, for as long as nobody answers."""

import time
from collections.abc import Callable

from cockpit.fleet.sky.client import Found, SkyClient, SkyError
from cockpit.fleet.sky.jobs import Row
from cockpit.fleet.sky.requests import LongRequests

LOST_AFTER_S = 180.0
"""A cluster that its cloud says is up but that does not answer for so long is lost."""
TOLD_AFTER_S = 60.0
"""Nobody need know of what is over sooner."""
RETRY_S = (2.0, 5.0, 10.0, 20.0)


class Lost(Exception):
    """The cluster is gone, or hangs; the message is one sentence. `hangs`: something of it is up all the same."""

    def __init__(self, message: str, hangs: bool = False) -> None:
        super().__init__(message)
        self.hangs = hangs


def answer(
    name: str,
    sky: SkyClient,
    long_requests: LongRequests,
    is_ours: Callable[[Found], bool],
    over: Callable[[], bool],
    trust_records: bool,
    told: Callable[[str], None],
) -> tuple[Found, list[Row]] | None:
    """The cluster and its jobs, once both were asked; None once it is `over`, and nobody waits for it any more.

    Lost is what its cloud says is lost. Where the cloud cannot be asked, as when this machine is offline, the runs may
    go on well, and it is asked until it answers. With `trust_records` a cluster that SkyPilot has as up is not asked
    about first, only for its jobs. `told` gets a sentence once it has been asked in vain for a while, and an empty one
    when it answers after that. Raises Lost.
    """
    began = time.monotonic()
    silent_since = 0.0
    said = False
    tries = 0
    while not over():
        confirmed = False
        try:
            found = sky.clusters([name]).get(name)
            if not (trust_records and tries == 0 and found and found.status == "UP"):
                known_at = found.asked_at if found else 0.0
                with long_requests.work():
                    found = sky.clusters([name], refresh=True).get(name)
                # Where the cloud does not answer, SkyPilot gives what it knew.
                confirmed = found is not None and found.asked_at > known_at
            if found is None or not is_ours(found) or found.status != "UP":
                raise Lost(f"{name} went down: SkyPilot finds it {found.status if found else 'gone'}")
            jobs = settled_jobs(name, sky, over)
            if said:
                told("")
            return found, jobs
        except SkyError as error:
            if error.kind == "gone":
                raise Lost(f"{name} is gone: {error}") from error
            now = time.monotonic()
            silent_since = (silent_since or now) if confirmed else 0.0
            if silent_since and now - silent_since > LOST_AFTER_S:
                raise Lost(f"{name} does not answer: {error}", hangs=True) from error
            if not said and now - began > TOLD_AFTER_S:
                said = True
                told(f"{name} cannot be reached, and what runs there goes on: {error}")
        time.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
        tries += 1
    return None


def settled_jobs(name: str, sky: SkyClient, over: Callable[[], bool]) -> list[Row]:
    """The cluster's jobs, once nothing that was asked of it is still under way. Raises SkyError."""
    while sky.pending(name) and not over():
        time.sleep(0.5)
    return sky.jobs(name)
