"""Everything that is read from outside, with random and with poisoned text: only the named errors, never a traceback.

The tools' arguments, which a model and an MCP client give, are in tests/agent/test_tools.py.
"""

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cockpit.core.event_codec import AnyEvent, decode_event, encode_event
from cockpit.core.intents import AnyIntent, EditProposal, Propose, decode_intent, encode_intent
from cockpit.core.model import Outcome
from cockpit.create.error import CreateError
from cockpit.create.sky_session import read_task_file
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.fleet.run_log import RunLog
from cockpit.session.setting_types import SettingsError
from cockpit.session.settings import read_settings
from tests.decide.world import World

NESTED = 20_000
DIGITS = "9" * 5_000
NUMBERS = st.sampled_from([DIGITS, f"-{DIGITS}", "1e308", "1e999", "nan", "-inf", "0x10", "", "1_000", "٣", "1" * 50])
NAMES = st.sampled_from(
    ["val_bpb", "step", "training_seconds", "num_steps", "peak_vram_mb", "mfu_percent", "loss", "x"]
)
POISON = st.one_of(
    st.builds("{}: {}".format, NAMES, NUMBERS),
    st.builds(
        "step {} ({}%) | loss: {} | dt: {}ms | remaining: {}s".format, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS
    ),
    st.builds("COCKPIT_END train_sha256=a prepare_sha256=b exit={} at={}".format, NUMBERS, NUMBERS),
    st.builds("COCKPIT_START train_sha256={} prepare_sha256=b at={}".format, NUMBERS, NUMBERS),
    st.builds("corpus: {} vocab {} fingerprint {}".format, NUMBERS, NUMBERS, NUMBERS),
    st.text(max_size=200),
    st.sampled_from(["\x1b[31m" * 100, "\x1b]0;" + "a" * 1_000, "\r" * 100, "---", "\x00", "\udcff", "🦀" * 500]),
)


@settings(max_examples=50)
@given(
    st.lists(st.one_of(POISON, NAMES), max_size=12),
    st.sampled_from([1, 7, 512, 4_096]),
    st.none() | st.integers(-300, 300),
)
def test_any_output_of_a_run_gives_a_verdict(lines: list[str], piece: int, exit_code: int | None) -> None:
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    log = RunLog()
    for at in range(0, len(text), piece):
        log.feed(text[at : at + piece], float(at))
    log.finish(1.0)
    verdict = log.verdict(exit_code, "a", "b")
    assert len(verdict.message) < 5_000
    if verdict.metrics is not None:
        assert verdict.outcome is Outcome.VALID and math.isfinite(verdict.metrics.score)
        msgspec.json.encode(verdict.metrics)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
EVENT_KINDS = sorted(kind.__name__ for kind in AnyEvent.__args__)
INTENT_KINDS = sorted(kind.__name__ for kind in AnyIntent.__args__)


def bodies(kinds: list[str]) -> st.SearchStrategy[bytes]:
    """Return bodies of objects of these kinds with random fields, and bodies of anything."""
    field = st.sampled_from(
        ["at", "attempt", "wave", "experiment", "cluster", "draft", "session", "usd", "how", "intent"]
    )
    one = st.builds(lambda kind, fields: {"kind": kind} | fields, st.sampled_from(kinds), st.dictionaries(field, JSON))
    deep = st.sampled_from(
        [
            b"[" * NESTED,
            b'{"kind":' * NESTED,
            b'{"kind":"Say","text":' + DIGITS.encode() + b"}",
            *(b'{"kind":"' + kind.encode() + b'","new":' + b"[" * NESTED + b"]" * NESTED + b"}" for kind in kinds[:3]),
        ]
    )
    return st.one_of(one.map(msgspec.json.encode), JSON.map(msgspec.json.encode), st.binary(max_size=200), deep)


@settings(max_examples=50)
@given(bodies(EVENT_KINDS))
def test_any_body_in_a_ledger_is_an_event_or_a_named_error(body: bytes) -> None:
    try:
        event = decode_event(body)
    except msgspec.MsgspecError as error:
        assert str(error)
    else:
        assert decode_event(encode_event(event)) == event


@pytest.fixture(scope="module")
def world() -> World:
    """Return a session with a night behind it: measured, proposed and crashed experiments."""
    made = World(lambda constants, attempt: None if constants["DEPTH"] == 3 else 1.0)
    made.propose({"DEPTH": 3}, {"LR": 2}, {"LR": 3})
    made.run(1.0)
    made.propose({"LR": 5})
    return made


TARGETS = ["", "e0000", "e0001", "e0002.1", "w000", "w001", "w999", "gpu-01", "e9999", "\x1b[31m", "a" * 500]


@given(bodies(INTENT_KINDS))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_in_an_inbox_is_an_intent_or_a_named_error(body: bytes) -> None:
    try:
        intent = decode_intent(body)
    except msgspec.MsgspecError as error:
        assert str(error)
    else:
        assert decode_intent(encode_intent(intent)) == intent


CODELESS = [kind for kind in AnyIntent.__args__ if kind not in (Propose, EditProposal)]
INTENTS = st.sampled_from(CODELESS).flatmap(st.from_type)
NAMED = {"wave", "experiment", "attempt", "cluster", "target", "before"}


@given(INTENTS, st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_intent_is_carried_out_or_refused(world: World, intent: AnyIntent, data: st.DataObject) -> None:
    named = {name: data.draw(st.sampled_from(TARGETS)) for name in intent.__struct_fields__ if name in NAMED}
    try:
        events = handle_intent(world.state, msgspec.structs.replace(intent, **named), "ann", world.now)
    except Refused as error:
        assert 0 < len(str(error)) < 5_000
    else:
        assert events


TOML = st.one_of(
    st.text(max_size=200),
    st.builds("[{}]\n{} = {}\n".format,
              st.sampled_from(["session", "agent", "envelope", "screen", "research", "usd_per_hour", "x", "session.x"]),
              st.sampled_from(["clusters", "budget_usd", "mode", "readable", "usd", "theme", "seed", "model", "a.b"]),
              st.one_of(NUMBERS, st.sampled_from(["true", '""', "[]", "{}", "[[1]]", "1979-05-27"]))),
)  # fmt: skip


@given(TOML)
@example(f"a = {'[' * NESTED}")
@example("a = " + "{b = " * 5_000)
@example(f"[session]\nclusters = {DIGITS}\n")
@example(f"[usd_per_hour]\nH100 = {DIGITS}.0\n")
@example("[" + "a." * 20_000 + "a]\n")
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cockpit_toml_is_read_or_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "cockpit.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        read_settings(tmp_path)
    except SettingsError as error:
        assert "cockpit.toml" in str(error)


YAML = st.one_of(
    st.text(max_size=200),
    st.builds("resources:\n  accelerators: {}\n".format, st.one_of(NUMBERS, st.text(max_size=30))),
    st.builds("{}: {}\n".format, st.sampled_from(["resources", "envs", "run", "- a", "<<"]), NUMBERS),
    st.sampled_from(
        ["[" * 5_000, "resources: [1]", "resources: {accelerators: [{}, [], null]}", "a: &a [*a]", "- " * 3_000]
    ),
)


@given(YAML)
@example(f"resources: {{accelerators: {DIGITS}}}")
@example("resources: {accelerators: 2020-99-99}")
@example("resources: {accelerators: {H100: !!python/object:os.system {}}}")
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_experiment_yaml_names_classes_or_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "experiment.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = read_task_file(tmp_path).classes
    except CreateError as error:
        assert "experiment.yaml" in str(error)
    else:
        assert all(isinstance(name, str) for name in found)


def test_files_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    for name in ("cockpit.toml", "experiment.yaml"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 34)  # sparse: 16 GB of zeros
    with pytest.raises(SettingsError, match="has more than"):
        read_settings(tmp_path)
    with pytest.raises(CreateError, match="has more than"):
        read_task_file(tmp_path)
