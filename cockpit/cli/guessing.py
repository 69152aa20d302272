"""`cockpit new` on a repository that the defaults do not fit: it guesses, shows its evidence, tries, and asks.

A setting is guessed only where the person has given none. Without a terminal, `--yes` takes a guess that is clear.
"""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from cockpit.cli.errors import CommandError
from cockpit.create.command import is_started_by_python
from cockpit.create.interpreter import chosen_environment
from cockpit.fleet.local import devices
from cockpit.report.results import clean
from cockpit.session.research_settings import ResearchSettings, script_of, words_of
from cockpit.variant.errors import VariantError
from cockpit.variant.guard import source_names_metric
from cockpit.variant.guess.commands import absent_script, with_python
from cockpit.variant.guess.listing import Guessed, Listing
from cockpit.variant.guess.printed_output import names_in_output
from cockpit.variant.guess.reading import read_listing
from cockpit.variant.guess.repository import (
    GIVEN,
    Guess,
    Known,
    guess_repository,
    guessed_direction,
    metric_in_output,
    other_names,
)
from cockpit.variant.knobs.constants import find_constants
from cockpit.variant.store import VariantStore

FLAGS = {"file": "--files", "command": "--command", "metric": "--metric", "direction": "--direction"}
"""The flag of each guess."""
VALUE_COLUMNS = 34
KNOBS_NAMED = 6
TEXT_BYTES = 1 << 20


def needs_guess(repo: Path, research: ResearchSettings) -> bool:
    """Return True if the settings and the defaults leave open which file is changed, or which number it prints."""
    path = repo / script_of(research)
    if not path.is_file():
        return not research.files
    if research.metric or research.pattern or research.score_command:
        return False
    with path.open("rb") as file:
        return not source_names_metric(file.read(TEXT_BYTES).decode("utf-8", "replace"), "val_bpb")


class Guesser:
    """One guess, from what is known to the settings that the person takes."""

    def __init__(self, repo: Path, research: ResearchSettings, yes: bool) -> None:
        self._repo = repo
        self._research = research
        self.asks = not yes and sys.stdin.isatty()
        self._yes = yes
        self._listing: Listing = read_listing(repo)
        self._known = Known(
            script_of(research) if research.files else "",
            research.command,
            research.metric,
            research.direction,
            bool(research.pattern or research.score_command),
        )
        self.guess: Guess = guess_repository(self._listing, self._known)

    def settle_start(self) -> None:
        """Settle the file and the command, and show the whole. Raises CommandError if the person must answer."""
        self._check_text()
        if self.asks:
            for setting in ("file", "command"):
                self._answer(setting)
        self._show()
        is_read = self._yes and self.guess.file.is_clear and self.guess.command.is_clear
        is_read = is_read and not self.guess.metric.is_clear
        trial_tells = {"metric", "direction"} if is_read else set()
        if not self.asks and (left := [name for name in self.guess.questions if name not in trial_tells]):
            self._refuse(left)
        if not self.asks and not self._yes:
            raise CommandError(f"nothing was made: take this guess with --yes, or give {self._flags()}")
        if self.asks and input("Try it, then make the session? [Y/n] ").strip().lower() not in ("", "y", "yes"):
            raise CommandError(f"nothing was made: give {self._flags()}, or the same in cockpit.toml")

    def _check_text(self) -> None:
        """Refuse a file that cannot be read as text: nothing in it could be found. Raises CommandError."""
        path = self._repo / (self.guess.file.value or ".")
        try:
            path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise CommandError(f"{self.guess.file.value} is not UTF-8 text; save it as UTF-8") from None
        except OSError:
            return  # a folder, or a file that a later check names

    def metrics_to_look_for(self) -> list[str]:
        """Return the names that the trial run is read for."""
        metric = self.guess.metric
        return [one.value for one in metric.candidates] or ([metric.value] if metric.value else [])

    def read_output(self, tail: str) -> dict[str, str]:
        """Guess the metric from the end of a run's output, where the code names none. Returns its likely values."""
        printed = names_in_output(tail)
        metric = metric_in_output(self._listing, (one for one, _ in printed.values()))
        direction = guessed_direction(self._listing, metric.value)
        if self.guess.direction.evidence == GIVEN:
            direction = self.guess.direction
        self.guess = self.guess._replace(metric=metric, direction=direction)
        return {name: printed[name][1] for name in self.metrics_to_look_for()}

    def settle_metric(self, printed: dict[str, str]) -> None:
        """Settle the metric with what the trial run has printed, and its direction."""
        metric = self.guess.metric
        seen = [one for one in metric.candidates if one.value in printed]
        if len(seen) == 1:
            self._take("metric", seen[0].value, "the trial run printed it")
        if self.asks:
            for setting in ("metric", "direction"):
                self._answer(setting)
        if self.guess.questions:
            self._refuse(self.guess.questions)

    def evidence(self) -> dict[str, str]:
        """Return the reason of each setting by its name in cockpit.toml."""
        found = {setting: getattr(self.guess, setting).evidence for setting in FLAGS}
        return {name: found[setting] for name, setting in zip(("files", *list(FLAGS)[1:]), FLAGS, strict=True)}

    def settings(self, python: str) -> ResearchSettings:
        """Return the settings with the guess. `python` is that of the repository's environment; empty for Cockpit's."""
        guess = self.guess
        words = words_of(guess.command.value)
        if guess.command.evidence != GIVEN:
            words = started_by(words, python)
            if words in ((python or sys.executable, guess.file.value), (python, "-u", guess.file.value)):
                words = ()  # as every session starts its script
        return msgspec.structs.replace(
            self._research,
            files=self._research.files if guess.file.evidence == GIVEN else (guess.file.value,),
            command=shlex.join(words),
            metric=self._research.metric if guess.metric.evidence == GIVEN else guess.metric.value,
            direction=self._research.direction if guess.direction.evidence == GIVEN else str(guess.direction.value),
        )

    def _answer(self, setting: str) -> None:
        """Ask for a setting that is not clear. Raises CommandError without an answer."""
        guessed: Guessed = getattr(self.guess, setting)
        if guessed.is_clear:
            return
        choices = guessed.candidates
        for number, one in enumerate(choices, 1):
            print(f"  {number}  {clean(one.value)}   ({clean(one.evidence)})")
        if setting == "metric" and not choices:
            print(f"  {self._names_note()}")
        prompt = f"{setting}, 1 to {len(choices)} or another [1]: " if choices else f"{setting}: "
        answer = input(prompt).strip() or ("1" if choices else "")
        if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(choices):
            answer = choices[int(answer) - 1].value
        if not answer:
            raise CommandError(f"nothing was made: give {FLAGS[setting]}")
        self._take(setting, answer, "your answer")

    def _take(self, setting: str, value: str, evidence: str) -> None:
        """Take a value, and guess again what depends on it."""
        values: dict[str, Any] = {setting: value}
        self._known = self._known._replace(**values)
        told = {name: one for name in FLAGS if (one := getattr(self.guess, name)).value and one.is_clear}
        told[setting] = Guessed(value, evidence)
        again = guess_repository(self._listing, self._known)
        answered = {name: told[name] for name in FLAGS if getattr(again, name).evidence == GIVEN and name in told}
        self.guess = again._replace(**answered)

    def _refuse(self, settings: list[str]) -> None:
        """Refuse a guess that leaves a question: a wrong answer would cost a night."""
        parts = []
        for setting in settings:
            guessed: Guessed = getattr(self.guess, setting)
            flag = FLAGS[setting]
            if guessed.candidates:
                parts.append(" or ".join(f"{flag} {shlex.quote(one.value)}" for one in guessed.candidates[:4]))
            elif setting == "metric":
                names = f" ({self._names_note()})" if self.guess.file.value else ""
                parts.append(f"--metric NAME{names}, --pattern REGEX, or --score-command WORDS for what it leaves")
            elif not (setting == "direction" and not self.guess.metric.value):
                parts.append(f"{flag} {'PATH' if setting == 'file' else 'WORDS'}")
        file = self.guess.file.value
        silent = "metric" in settings and file and not self.guess.metric.value
        why = f"{file} prints no val_bpb, nor another score" if silent else "the repository does not tell it"
        raise CommandError(f"nothing was made, because {why}: give {'; '.join(parts)}")

    def _names_note(self) -> str:
        names = other_names(self._listing, self.guess.file.value, self.guess.command.value)
        return f"it prints {', '.join(map(clean, names))}" if names else "the code prints no name with a number"

    def _show(self) -> None:
        for setting in FLAGS:
            guessed: Guessed = getattr(self.guess, setting)
            is_read = not self.guess.metric.value and self.guess.file.value and (self._yes or self.asks)
            if not guessed.value and setting in ("metric", "direction") and is_read:
                if setting == "metric":
                    print(f"{setting:<10} not found in the code: the trial run is read for it")
            elif not guessed.value:
                absent = absent_script(self._listing) if setting == "command" else ""
                print(f"{setting:<10} not found: {clean(absent) or f'{FLAGS[setting]} names it'}")
            elif guessed.candidates:
                print(f"{setting:<10} one of {len(guessed.candidates)}:")
                for one in guessed.candidates:
                    print(f"{'':<12}{clean(str(one.value)):<{VALUE_COLUMNS}}  {clean(one.evidence)}")
            else:
                print(f"{setting:<10} {clean(str(guessed.value)):<{VALUE_COLUMNS}}  {clean(guessed.evidence)}")
        print(f"{'knobs':<10} {self._knobs()}")
        print(f"{'data':<10} {self._data()}")
        print(f"{'runs in':<10} {self._environment()}")
        print(f"{'device':<10} {self._device()}")

    def _knobs(self) -> str:
        file = self.guess.file.value
        try:
            text = (self._repo / file).read_text("utf-8", "replace") if (self._repo / file).is_file() else ""
            names = list(find_constants(text, file))
        except VariantError:
            return f"none: {clean(file)} cannot be read"
        more = ", …" if len(names) > KNOBS_NAMED else ""
        return f"{len(names)}: {', '.join(map(clean, names[:KNOBS_NAMED]))}{more}" if names else "none"

    def _data(self) -> str:
        """Name the inputs that git does not store."""
        try:
            store = VariantStore(self._repo, "guess", files=(self.guess.file.value or "train.py",))
            try:
                found = store.inputs(store.head(), words_of(self.guess.command.value))
            finally:
                store.close()
        except VariantError:
            return "unknown"
        linked = f"{', '.join(map(clean, found.data))}, which git does not store: linked into each run"
        return linked if found.data else "none besides what git stores"

    def _environment(self) -> str:
        environment, trouble = chosen_environment(self._repo)
        words = words_of(self.guess.command.value)
        if (
            environment is not None
            and self.guess.command.evidence == GIVEN
            and words[:1] in (("python",), ("python3",))
        ):
            return f"{self._started_by()}; not in {environment.file}, whose Python --command names if you want it"
        if environment is None:
            return clean(trouble) or self._started_by()
        return f"the environment of {environment.file}" + (f", by `{environment.words}`" if environment.tool else "")

    def _started_by(self) -> str:
        started = started_by(words_of(self.guess.command.value), "")
        if not started:
            return "Cockpit's own Python"
        return (
            f"{started[0]}, the Python of this terminal"
            if is_started_by_python(started)
            else "the programs on your PATH"
        )

    def _device(self) -> str:
        count = devices.devices_of_command(words_of(self.guess.command.value))
        try:
            slots = devices.slots(0, count)
        except ValueError as error:
            return f"{error}: --gpus-per-run or --command changes that"
        each = "a run for each two cores" if slots[0].hardware == "CPU" else f"{len(slots)} slots"
        return f"{clean(slots[0].hardware)}, {each}"

    def _flags(self) -> str:
        found = [
            f"{FLAGS[setting]} {shlex.quote(str(one.value)) if one.is_clear else '…'}"
            for setting in FLAGS
            if (one := getattr(self.guess, setting)).evidence != GIVEN
        ]
        return " ".join(found)


def started_by(words: tuple[str, ...], python: str) -> tuple[str, ...]:
    """Return a documented command as it is started here: by the environment's Python, or by one that is there."""
    if python:
        return with_python(words, python, lambda name: str(Path(python).with_name(name)))
    if words and words[0] in ("python", "python3"):
        return (shutil.which(words[0]) or sys.executable, *words[1:])
    return words
