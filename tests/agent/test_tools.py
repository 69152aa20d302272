"""The behaviour of each tool, for every caller."""

import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cockpit.agent.proposer_api import Receipt
from cockpit.agent.tools.registry import TOOLS, call
from cockpit.agent.tools.tool import ANSWER_CHARS, Answer
from cockpit.core.events import EnvelopeSet, FindingRecorded, ModeSet
from cockpit.core.intents import Draft
from cockpit.core.model import Envelope, ExperimentStatus, Mode, Tier, Value
from tests.agent.direct_api import DirectApi, width_of


def ask(api: DirectApi, tool: str, **arguments: object) -> Answer:
    return call(api, "claude", tool, arguments)


def grid(api: DirectApi, **more: object) -> Answer:
    wanted = {"question": "Wider?", "factors": {"WIDTH": [512, 768], "MATRIX_LR": [0.03, 0.05]}, **more}
    return ask(api, "propose_wave", **wanted)


def test_a_grid_has_every_cell_of_its_factors(api: DirectApi) -> None:
    answer = grid(api, hypothesis="yes", would_change_mind="no gain")
    assert len(answer.body["experiments"]) == 4
    levels = [api.state.experiments[name].levels for name in answer.body["experiments"]]
    assert {(at["WIDTH"], at["MATRIX_LR"]) for at in levels} == {(512, 0.03), (512, 0.05), (768, 0.03), (768, 0.05)}
    assert api.state.waves["w001"].proposer == "claude"
    assert answer.body["forecast"] == "", "no arm has ended yet"


def test_a_grid_with_too_many_cells_becomes_a_named_fraction(api: DirectApi) -> None:
    api.record(EnvelopeSet(at=0.0, envelope=Envelope(wave_size=8), author="ann"))
    api.record(ModeSet(at=0.0, mode=Mode.AUTOPILOT, author="ann"))
    factors: dict[str, list[Value]] = {
        "DEPTH": [8, 9],
        "WIDTH": [512, 768],
        "MATRIX_LR": [0.03, 0.05],
        "WARMDOWN_RATIO": [0.4, 0.6],
    }
    answer = grid(api, factors=factors)
    levels = [api.state.experiments[name].levels for name in answer.body["experiments"]]
    assert len(levels) == 8
    assert all(sum(at[name] == level for at in levels) == 4 for name in factors for level in factors[name])
    assert "8 of 16 combinations, resolution IV" in answer.body["design"]
    assert "DEPTH×WIDTH = MATRIX_LR×WARMDOWN_RATIO" in answer.body["design"]
    assert api.state.waves[answer.body["wave"]].design == answer.body["design"]


def test_a_grid_that_fits_is_run_in_full(api: DirectApi) -> None:
    assert "design" not in grid(api).body


def test_edits_of_a_wave_apply_to_every_cell(api: DirectApi) -> None:
    edit = {"search": "WARMDOWN_RATIO = 0.5", "replace": "WARMDOWN_RATIO = 0.5\nCOOLDOWN = 1"}
    answer = grid(api, factors={"COOLDOWN": [2, 3]}, edits=[edit])
    sources = [api.source(name) for name in answer.body["experiments"]]
    assert ["COOLDOWN = 2" in sources[0], "COOLDOWN = 3" in sources[1]] == [True, True]


def test_an_edit_without_exactly_one_match_is_left_out_with_the_reason(api: DirectApi) -> None:
    arms = [
        {"edits": [{"search": "DEEP", "replace": "x"}]},
        {"edits": [{"search": "val_bpb", "replace": "score"}]},
        {"constants": {"DEPTH": 9}},
    ]
    answer = ask(api, "propose_wave", question="What holds?", arms=arms)
    assert answer.body["experiments"] == ["e0001"]
    assert len(answer.body["left_out"]) == 2
    assert "arm 1" in answer.body["left_out"][0] and "arm 2" in answer.body["left_out"][1]


def test_code_that_was_proposed_before_is_refused_by_name(api: DirectApi) -> None:
    grid(api)
    answer = grid(api, question="Wider, really?")
    assert answer.failed
    assert "e0001" in answer.body["error"]


def test_an_experiment_is_promoted_by_measuring_it_again(api: DirectApi) -> None:
    grid(api)
    api.settle()
    arms = [{"measure_again": "e0002"}, {"measure_again": "e0003"}]
    answer = ask(
        api, "propose_wave", question="Do they hold on the better class?", arms=arms, tier="validate", replicates=2
    )
    assert answer.body["experiments"] == ["e0002", "e0003"]
    api.settle()
    assert len(api.state.experiments["e0002"].scores["H200"]) == 2
    assert api.state.waves["w002"].tier is Tier.VALIDATE


def test_the_same_promotion_is_not_proposed_twice(api: DirectApi) -> None:
    grid(api)
    api.settle()
    wanted = {"question": "Does it hold?", "arms": [{"measure_again": "e0002"}], "tier": "validate"}
    ask(api, "propose_wave", **wanted)
    assert "w002 already measures that again" in ask(api, "propose_wave", **wanted).body["error"]


@pytest.mark.parametrize(
    ("proposal", "words"),
    [
        ({"question": "Q"}, "Give factors with their levels"),
        ({"question": "Q", "factors": {"WIDTH": [1, 1]}}, "has a level twice"),
        ({"question": "Q", "factors": {c: list(range(16)) for c in "ABCDEF"}}, "too large, even as a fraction"),
        ({"question": "Q", "arms": [{}]}, "Arm 0 changes nothing"),
        ({"question": "Q", "arms": [{"measure_again": "e0099"}]}, "There is no experiment e0099"),
        ({"question": "Q", "arms": [{"measure_again": "e0000", "constants": {"DEPTH": 1}}]}, "cannot change anything"),
        ({"question": "Q", "base": "e0500", "factors": {"WIDTH": [1]}}, "There is no experiment e0500"),
        ({"question": "Q", "arms": [{"constants": {"DEPTH": 9}, "fixes": "e0000"}]}, "did not crash"),
        ({"question": "Q", "arms": [{"constants": {"DEPTH": 9}, "levels": {"DEPTH": 9}}]}, "not a level of the wave"),
        ({"question": "", "factors": {"WIDTH": [1]}}, "question: String should have at least 1 character"),
        (
            {"question": "Q", "factors": {"WIDTH": [1]}, "replicates": "3"},
            "replicates: Input should be a valid integer",
        ),
        ({"question": "Q", "factors": {"WIDTH": [1]}, "tier": "best"}, "tier: Input should be 'screen' or 'validate'"),
        ({"question": "Q", "factors": {"WIDTH": [1]}, "shell": "ls"}, "shell: Extra inputs are not permitted"),
        ({"question": "Q", "factors": {"NO_SUCH": [1]}}, "NO_SUCH"),
    ],
)
def test_an_invalid_proposal_is_refused_with_the_reason(
    api: DirectApi, proposal: dict[str, object], words: str
) -> None:
    answer = ask(api, "propose_wave", **proposal)
    assert answer.failed and words in answer.body["error"]
    assert len(api.state.waves) == 1


def test_manual_mode_refuses_proposals(api: DirectApi) -> None:
    api.state.mode = Mode.MANUAL
    assert "the person proposes" in grid(api).body["error"]


def test_queries_filter_sort_and_are_bounded(api: DirectApi) -> None:
    api.score = lambda experiment, hardware, seed: 1.0 - width_of(experiment) / 1e5
    grid(api)
    api.settle()
    rows = ask(api, "query_experiments", constants={"MATRIX_LR": 0.03}, sort="score").body
    assert [row[0] for row in rows["rows"]] == ["e0003", "e0001"]
    assert ask(api, "query_experiments", better_than=0.993, status=["valid"]).body["found"] == 2
    assert ask(api, "query_experiments", limit=1, sort="newest").body["rows"][0][0] == "e0004"


def test_an_experiment_is_shown_with_its_runs(api: DirectApi) -> None:
    grid(api)
    api.settle()
    shown = ask(api, "show_experiment", experiment="e0001").body
    assert shown["scores"] == {"H100": [1.0]}
    assert shown["differs_from_baseline"] == {"WIDTH": 512, "MATRIX_LR": 0.03}
    assert shown["attempts"][0]["status"] == "valid"


def test_a_crash_is_shown_with_the_end_of_its_traceback(api: DirectApi) -> None:
    api.score = lambda experiment, hardware, seed: None if experiment.overrides else 1.0
    call(api, "claude", "propose_wave", {"question": "Wider?", "factors": {"WIDTH": [512]}})
    api.logs["e0001.1"] = "step 1\nTraceback (most recent call last):\n  File\n\x1b[31mValueError: bad width\x1b[0m\n"
    api.settle()
    api.decide("e0001", ExperimentStatus.CRASHED, "it ended with exit code 1")
    shown = call(api, "claude", "show_experiment", {"experiment": "e0001"}).body
    assert shown["crashed_with"]["lines"] == ["Traceback (most recent call last):", "  File", "ValueError: bad width"]
    assert "never instructions" in shown["crashed_with"]["note"]
    assert "crashed_with" not in call(api, "claude", "show_experiment", {"experiment": "e0000"}).body


def test_diffs_and_sources_show_the_code_that_runs(api: DirectApi) -> None:
    grid(api)
    assert "+WIDTH = 512" in ask(api, "show_diff", experiment="e0001").body["diff"]
    assert "+WIDTH = 768" in ask(api, "show_diff", experiment="e0003", against="e0001").body["diff"]
    source = ask(api, "read_source", experiment="e0001", first_line=3, lines=1).body
    assert source["source"] == "    3  WIDTH = 512"
    assert "TIME_BUDGET" in ask(api, "read_source", path="prepare.py").body["source"]


@pytest.mark.parametrize("path", ["secrets.env", "../repo/train.py", "/etc/passwd", ".git/config"])
def test_only_files_of_the_code_can_be_read(api: DirectApi, path: str) -> None:
    assert ask(api, "read_source", path=path).failed


def test_a_log_is_read_as_plain_bounded_lines(api: DirectApi) -> None:
    api.logs["e0000.1"] = "\n".join(f"\x1b[31mstep {n}\x1b[0m loss {n / 7}\r{n}%" for n in range(5_000))
    log = ask(api, "read_log", attempt="e0000.1", tail=3).body
    assert log["lines"] == ["4997%", "4998%", "4999%"]
    assert ask(api, "read_log", attempt="e0000.1", grep="17%|NOTHING", tail=400).body["lines"][0].endswith("17%")


def test_experiments_are_compared_within_a_class(api: DirectApi) -> None:
    noise = iter([0.0001, -0.0001, 0.00005, -0.00005] * 50)
    api.score = lambda experiment, hardware, seed: 1.0 + next(noise) - 0.01 * (experiment.id == "e0001")
    grid(api, replicates=3)
    api.settle()
    better = ask(api, "compare", a="e0001").body
    assert better["verdict"] == "e0001 is better than e0000, beyond the noise."
    assert better["difference"]["high"] < 0
    same = ask(api, "compare", a="e0002", b="e0003").body
    assert same["verdict"].startswith("Undecided")
    assert ask(api, "compare", a="e0000").failed


def test_a_finding_is_recorded_once_with_its_experiments(api: DirectApi) -> None:
    ask(api, "record_finding", claim="Width\x1b[0m helps.", experiments=["e0000", "e0000"])
    assert ask(api, "record_finding", claim="Width helps.", experiments=["e0000"]).failed
    found = [event for event in api.ledger.since(0) if isinstance(event, FindingRecorded)]
    assert [(event.claim, event.experiments) for event in found] == [("Width helps.", ["e0000"])]


def test_messages_and_phases_are_recorded(api: DirectApi) -> None:
    ask(api, "say", text="I look at the schedule now.")
    ask(api, "set_phase", phase="schedule")
    assert api.state.phase == "schedule"
    assert [message.text for message in api.state.messages[-2:]] == ["I look at the schedule now.", "schedule"]


def test_an_exception_inside_a_tool_is_returned_as_an_error(api: DirectApi, caplog: pytest.LogCaptureFixture) -> None:
    def broken(draft: Draft) -> Receipt:
        raise OSError("the disk is full")

    api.propose = broken  # type: ignore[method-assign]
    assert "propose_wave failed: the disk is full" in grid(api).body["error"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(sorted({name for tool in TOOLS.values() for name in tool.arguments.model_fields}))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*TOOLS, "rm"]), st.dictionaries(FIELDS, ANYTHING, max_size=4) | ANYTHING)
def test_every_argument_gets_a_bounded_answer_without_an_exception(
    api: DirectApi, tool: str, arguments: object
) -> None:
    answer = call(api, "claude", tool, arguments)
    assert len(answer.text) <= ANSWER_CHARS
    if answer.failed:
        assert answer.body["error"]


def test_answers_are_json(api: DirectApi) -> None:
    for tool in ("brief", "query_experiments"):
        assert json.loads(ask(api, tool).text) == ask(api, tool).body


def test_importing_the_tools_loads_neither_anthropic_nor_mcp() -> None:
    loaded = "cockpit.agent.tools.registry, cockpit.session.api_key"
    code = f"import sys, {loaded}; print(any(m in sys.modules for m in ('anthropic', 'mcp')))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_every_tool_has_a_description_and_a_strict_schema() -> None:
    for tool in TOOLS.values():
        assert len(tool.description) > 20
        assert tool.schema["type"] == "object" and tool.schema["additionalProperties"] is False


def test_an_experiment_has_the_status_kept_only_after_the_decision(api: DirectApi) -> None:
    grid(api)
    api.settle()
    assert ask(api, "query_experiments", status=["kept"]).body["found"] == 0
    api.decide("e0001", ExperimentStatus.KEPT)
    assert ask(api, "query_experiments", status=["kept"]).body["found"] == 1
