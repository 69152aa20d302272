"""Sessions for the screen's benchmarks: a night, one with very many experiments, and one that is being written."""

import fcntl
import threading
from pathlib import Path

from cockpit.core.events import Event, Progressed, Started
from cockpit.core.model import Experiment, Progress, Value
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from tests.tui import stories
from tests.tui.story import RUN_S


def night(root: Path) -> Path:
    return stories.night().write(root)


def large(root: Path, experiments: int) -> Path:
    """Return a session of this number of decided experiments, with the snapshot of its worker."""
    folder = root / f"large-{experiments}"
    if folder.exists():
        return folder
    story = stories.begun(folder.name)
    while len(story.state.experiments) < experiments:
        number = len(story.state.experiments)
        rates = [round(0.01 + 1e-7 * (number + offset), 9) for offset in range(256)]
        wave = story.propose("which rate?", {"MATRIX_LR": list(rates)}, "tpe")
        story.approve(wave)
        story.play()
    path = story.write(root, logs=False)
    ledger = Ledger.open(path / "ledger.db")
    ledger.snapshot(ledger.state())
    ledger.close()
    return path


class Busy:
    """A session whose sixteen clusters all run, written to as its worker would: the lock is held, progress comes."""

    def __init__(self, root: Path) -> None:
        story = stories.begun("busy", 16, 0)
        wave = story.propose("sixteen", {"MATRIX_LR": [0.01 + 0.001 * n for n in range(32)]})
        story.approve(wave)
        for attempt, cluster in zip(list(story.state.waiting), list(story.state.clusters), strict=False):
            story.submit(attempt, cluster)
            story.tell(Started(at=story.at, attempt=attempt))
        self._story = story
        self.folder = story.write(root)
        self._lock = SessionFolder(self.folder).lock.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._ledger = Ledger.open(self.folder / "ledger.db")
        self.lines_written = 0
        self.progress_all(0.2)

    def progress_all(self, fraction: float) -> None:
        self._story.at += 3
        events: list[Event] = []
        for name in self._story.state.in_flight:
            loss = 2.3 + 2.0 * (1 - fraction) + self._story.dice.gauss(0, 0.01)
            progress = Progress(self._story.at, int(953 * fraction), fraction, loss, remaining_s=300 * (1 - fraction))
            events.append(Progressed(at=self._story.at, attempt=name, progress=progress, curve=[(fraction, loss)]))
        self._ledger.append(events)

    @property
    def now(self) -> float:
        return self._story.at

    @property
    def experiments(self) -> dict[str, Experiment]:
        return self._story.state.experiments

    def next_round(self) -> None:
        """End what runs, decide on it, propose and start the next sixteen: 330 simulated seconds."""
        story = self._story
        before = len(story.events)
        story.at += RUN_S
        for name in list(story.state.in_flight):
            story.end(name)
            story.decide(story.state.attempts[name].experiment)
        number = len(story.state.waves)
        rates: list[Value] = [round(0.02 + 1e-6 * (16 * number + n), 9) for n in range(16)]
        story.approve(story.propose(f"Round {number}?", {"MATRIX_LR": rates}))
        for attempt, cluster in zip(list(story.state.waiting), list(story.state.clusters), strict=False):
            story.submit(attempt, cluster)
            story.tell(Started(at=story.at, attempt=attempt))
            with SessionFolder(self.folder).log(attempt).open("a") as log:
                log.writelines(f"step {step:05d} | loss: 2.345678 | remaining: 12s\n" for step in range(500))
        self._ledger.append(story.events[before:])
        self.progress_all(0.4)

    def stream(self, stop: threading.Event, lines_a_second: int, logs_written: int = 16) -> None:
        """Append to `logs_written` of the sixteen logs, ten times a second, and progress twice a second."""
        names = list(self._story.state.in_flight)[:logs_written]
        logs = [SessionFolder(self.folder).log(name).open("a") for name in names]
        fraction, turn = 0.3, 0
        while not stop.wait(0.1):
            turn += 1
            for log in logs:
                for line in range(max(1, lines_a_second // 10)):
                    log.write(f"step {turn:05d}.{line:03d} | loss: 2.345678 | tok/sec: 1,665,021 | remaining: 12s\n")
                    self.lines_written += 1
                log.flush()
            if turn % 5 == 0:
                fraction = min(0.99, fraction + 0.002)
                self.progress_all(fraction)
        for log in logs:
            log.close()

    def close(self) -> None:
        self._ledger.close()
        self._lock.close()
