"""Choose the clusters of a new session."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cockpit.core.session import FleetSpec
from cockpit.create.command import SHELLS, command_words, shell_lines
from cockpit.create.error import CreateError
from cockpit.create.sky_session import CLUSTERS_AT_MOST, sky_fleet
from cockpit.fleet.local import devices
from cockpit.fleet.sim.fleet import sim_spec
from cockpit.session.research_settings import script_of
from cockpit.session.settings import Settings


def fleet_spec(settings: Settings, repo: Path, speed: float = 1.0) -> FleetSpec:
    """Return the fleet of a session with these settings. Raises CreateError for one that does not exist."""
    new = settings.session
    if not 0 <= new.clusters <= CLUSTERS_AT_MOST:
        raise CreateError(f"{new.clusters} clusters is invalid: expected 1 to {CLUSTERS_AT_MOST}")
    match new.fleet:
        case "local":
            try:
                slots = devices.slots(new.clusters, gpus_per_run(settings, repo))
            except ValueError as error:
                raise CreateError(f"{error}: change gpus_per_run or the command, or CUDA_VISIBLE_DEVICES") from None
            return FleetSpec("local", slots, screen_hardware=slots[0].hardware)
        case "sim":
            return sim_fleet(new.clusters or 16, new.seed, speed)
        case "sky":
            return sky_fleet(new, repo, settings.research.gpus_per_run)
    raise CreateError(f"there is no fleet {new.fleet!r}: choose local, sky or sim")


def gpus_per_run(settings: Settings, repo: Path) -> int:
    """Return the devices of one run: as set, as many as the command starts, or as the script says of itself."""
    research = settings.research
    if research.gpus_per_run or research.command:
        return research.gpus_per_run or _devices_of(command_words("command", research.command), repo)
    try:
        return devices.devices_of_script((repo / script_of(research)).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return 1  # `check` says what is wrong with the file


def _devices_of(words: Sequence[str], repo: Path) -> int:
    """Return the devices for which a command starts processes, itself or by the lines of a shell that it starts."""
    is_shell = any(PurePosixPath(word).name in SHELLS for word in words[:1])
    texts = [word for word in words[1:] if is_shell and " " in word]
    texts += [_text(repo / word) for word in words if word.endswith(".sh")]
    lines = [line for text in texts for line in shell_lines(text)]
    return max(devices.devices_of_command(line) for line in (words, *lines))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # `check` says what is wrong with the command


def sim_fleet(count: int, seed: int, speed: float) -> FleetSpec:
    """Return a simulated fleet, thirteen H100 to three H200 as in the published run."""
    better = round(count * 3 / 16)
    return sim_spec(count - better, better, speed, seed)
