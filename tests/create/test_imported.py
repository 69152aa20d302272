"""A night of elsewhere as a session: ended, read-only, reported and exported, with what is unknown said."""

import json
from pathlib import Path

import pytest

from cockpit.audit.results_tsv import CRASH, KEEP
from cockpit.audit.trials import Night, Trial
from cockpit.cli.locate import state_of
from cockpit.cli.main import main
from cockpit.cli.screen import existing
from cockpit.core.fold import fold
from cockpit.core.metric import VAL_BPB, Direction, Metric
from cockpit.core.model import IMPORTED, AttemptKind, ExperimentStatus
from cockpit.core.state import State
from cockpit.create.imported import UNKNOWN_CLASS, UNKNOWN_S, imported_events
from cockpit.read.checks import UNCHECKED_IMPORT, checks_of, origin_of, unchecked
from cockpit.read.effects import gain_of
from cockpit.report.html import html
from cockpit.report.reproduce import commands
from cockpit.report.verdict import verdict
from cockpit.session.paths import SessionFolder

AT = 1_700_000_000.0


def folded(*trials: Trial, metric: Metric = VAL_BPB, name: str = "TPE/2", hardware: str = "H200") -> State:
    events = imported_events("old", Night(name, trials), Path("trials.json"), metric, hardware, AT)
    state = State(events[0].session)  # type: ignore[attr-defined]
    for event in events:
        fold(state, event)
    return state


def trial(value: float | None, depth: int, **more: object) -> Trial:
    return Trial(value, seconds=300.0, constants={"DEPTH": depth}, **more)  # type: ignore[arg-type]


def test_each_best_so_far_is_kept_and_the_rest_is_discarded_or_crashed() -> None:
    state = folded(trial(0.99, 8), trial(0.995, 9), trial(None, 20), trial(0.98, 10))
    assert [one.status for one in state.experiments.values()] == [
        ExperimentStatus.KEPT, ExperimentStatus.DISCARDED, ExperimentStatus.CRASHED, ExperimentStatus.KEPT
    ]  # fmt: skip
    assert state.baseline == "e0000" and state.incumbent == "e0003"
    assert state.experiments["e0003"].change.constants == {"DEPTH": 10}
    assert state.experiments["e0003"].estimate is None and "unchecked" in state.experiments["e0003"].reason


def test_the_session_is_over_and_took_as_long_as_its_trials() -> None:
    state = folded(trial(0.99, 8), trial(0.98, 9))
    assert state.ended_at == AT and state.session.created_at == AT - 600.0
    assert not state.in_flight and not state.waiting and not state.proposals
    runs = list(state.attempts.values())
    assert [(run.started_at, run.ended_at) for run in runs] == [(AT - 600, AT - 300), (AT - 300, AT)]


def test_the_same_code_again_is_one_more_run_of_its_experiment() -> None:
    state = folded(trial(0.990, 8), trial(0.98, 9), trial(0.991, 8))
    assert state.experiments["e0000"].scores == {"H200": [0.990, 0.991]} and len(state.experiments) == 2
    assert state.attempts["e0000.2"].kind is AttemptKind.REPLICATE


def test_a_table_with_verdicts_is_followed() -> None:
    rows = (
        Trial(0.99, KEEP, commit="aaa1111", description="baseline"),
        Trial(0.97, "discard", commit="bbb2222", description="lucky"),
        Trial(None, CRASH, commit="ccc3333", description="wider"),
        Trial(0.98, KEEP, commit="ddd4444", description="deeper"),
    )
    state = folded(*rows, name="", hardware="")
    assert state.incumbent == "e0003" and state.experiments["e0001"].reason == "discard in the table"
    assert state.experiments["e0003"].base == "e0000" and state.experiments["e0003"].why == "deeper"
    said = state.messages[0].text
    assert "unknown: the code that ran" in said and f"({UNKNOWN_S:.0f} s here)" in said and "the hardware" in said
    assert {cluster.hardware for cluster in state.clusters.values()} == {UNKNOWN_CLASS}


def test_the_first_trial_with_a_score_is_the_baseline() -> None:
    state = folded(trial(None, 20), trial(0.99, 8))
    assert state.experiments["e0000"].scores and state.experiments["e0001"].status is ExperimentStatus.CRASHED


def test_classes_are_apart_and_each_has_its_own_best() -> None:
    state = folded(trial(0.99, 8, hardware="H100"), trial(0.97, 9, hardware="H200"), trial(0.98, 10, hardware="H100"))
    assert state.experiments["e0001"].status is ExperimentStatus.DISCARDED, "the first of its class beats nothing"
    assert state.incumbent == "e0002" and len(state.clusters) == 2


def test_a_metric_that_is_better_higher_keeps_higher_ones() -> None:
    state = folded(trial(0.6, 8), trial(0.5, 9), trial(0.7, 10), metric=Metric(name="acc", direction=Direction.MAX))
    assert state.incumbent == "e0002" and state.experiments["e0001"].status is ExperimentStatus.DISCARDED


def test_nothing_of_it_counts_as_checked_or_as_shown() -> None:
    state = folded(trial(0.99, 8), trial(0.98, 9))
    experiment = state.experiments["e0001"]
    assert state.session.fleet.kind == IMPORTED and not state.session.fleet.simulated
    (sentence,) = unchecked(state)
    assert sentence.startswith(UNCHECKED_IMPORT) and checks_of(state, experiment) == UNCHECKED_IMPORT
    assert origin_of(state, experiment) == IMPORTED
    assert gain_of(state) is None and commands(state) == []
    assert verdict(state, AT).startswith("Imported, unchecked: by the table's word, e0001 is the best variant, 0.0100 ")
    page = html(state, AT, None)
    assert "Imported, unchecked" in page and "git worktree" not in page


def ran(*words: str) -> object:
    """Return the exit status of a command."""
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code


def test_a_night_goes_through_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"val_bpb": 0.99 - number / 1e3, "success": True, "wt": 300.0, "DEPTH": 8 + number} for number in range(4)]
    Path("trials.json").write_text(json.dumps({"TPE": {"0": rows}}))
    assert ran("import", "trials.json", "--session", "old", "--hardware", "H200") == 0
    assert "4 trials, 4 with a score; imported, unchecked" in capsys.readouterr().out
    state = state_of(SessionFolder(tmp_path / "sessions" / "old"))
    assert state.ended_at and state.incumbent == "e0003"
    asked = (
        "status old",
        "results old",
        "export old",
        "report old",
        "report old --md",
        "replay old --html",
        "verify old",
    )
    for words in (line.split() for line in asked):
        assert ran(*words) == 0, words
    assert "imported" in capsys.readouterr().out and Path("old.html").stat().st_size < 1_000_000
    assert ran("import", "trials.json", "--session", "old") != 0
    assert "exists already: name another session with --session" in capsys.readouterr().err
    assert ran("import", "nowhere.json", "--session", "new") != 0
    assert "there is no file nowhere.json" in capsys.readouterr().err
    for line in ("propose DEPTH=9 -s old", "start old"):
        assert ran(*line.split()) != 0
        assert "old was imported and is read-only: `cockpit watch old` shows it" in capsys.readouterr().err
    assert existing(None, None) is None, "no command without a name opens it"
