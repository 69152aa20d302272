"""`cockpit mirror`: the session's attempts in Trackio, while it runs and after."""

import time

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session
from cockpit.core.installation import install_command
from cockpit.read.wording import count
from cockpit.report.mirror import Mirror
from cockpit.session import lock
from cockpit.session.reader import LedgerReader

LOOK_EVERY_S = 5.0


def mirror(name: str | None) -> None:
    """Write each attempt to Trackio once it has ended, until the worker stops. Raises CommandError."""
    folder = session(name)
    try:
        mirrored = Mirror(folder)
    except ImportError:
        raise CommandError(f"a mirror needs trackio: `{install_command('mirror')}`") from None
    except OSError as error:
        raise CommandError(f"{folder.mirrored} cannot be written: {error.strerror}") from None
    reader = LedgerReader(folder)
    try:
        seen, running = None, True
        while running:
            running = lock.worker_status(folder).state == "running"
            version = reader.version()
            if version != seen and (written := mirrored.write(reader.state())):
                print(f"{count(written, 'attempt')} written: `trackio show --project {mirrored.project}` shows them")
            seen = version
            if running:
                time.sleep(LOOK_EVERY_S)
    finally:
        reader.close()
        mirrored.close()
    print(f"Trackio has every ended attempt of {folder.name}")
