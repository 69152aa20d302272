"""Each reader of numbers from outside takes any: it bounds them, leaves them out, or refuses them in a sentence."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anthropic
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cockpit.agent.arguments import ProposeWave
from cockpit.agent.claude.errors import translated
from cockpit.agent.claude.prices import is_counted
from cockpit.agent.proposer_api import RETRY_AT_MOST_S, ProposerTrouble
from cockpit.audit.claims import AuditError
from cockpit.audit.repeats import audit_repeats
from cockpit.audit.results_file import audit_results
from cockpit.audit.trials import read_night
from cockpit.certificate.check import check
from cockpit.certificate.sign import CertificateError, public_text, sign, write
from cockpit.core.metric import VAL_BPB
from cockpit.core.model import Value
from cockpit.core.plausible import LARGEST, holds_plausible, is_plausible
from cockpit.create.error import CreateError
from cockpit.create.prior_file import file_findings
from cockpit.fleet.local import devices
from cockpit.fleet.notes import EndNote, StartNote, read_note
from cockpit.fleet.printed_numbers import leading_number
from cockpit.session import lock, worker_process
from cockpit.session.heartbeat import read_heartbeat
from cockpit.session.paths import SessionFolder
from tests.worker.sessions import sim_session, state_of, wait_for

DIGITS = "9" * 400
NUMBERS = ["1e308", "-1e308", "1e999", "NaN", "Infinity", DIGITS, f"-{DIGITS}", "9" * 5_000, "1e-320", "-0.0"]
"""Numbers in the words of JSON and of Python."""
number = pytest.mark.parametrize("number", NUMBERS)
CONSTANTS: dict[str, Value] = {"DEPTH": 8, "MATRIX_LR": 0.04}


@pytest.mark.parametrize("found", [math.nan, math.inf, -math.inf, 1e13, 10**400, -(10**400)])
def test_a_number_that_overflows_is_not_plausible_at_any_depth(found: float) -> None:
    assert not is_plausible(found)
    assert not holds_plausible({"a": [1, {"b": (0.5, found)}]})
    assert holds_plausible({"a": [1, {"b": (0.5, -LARGEST)}], "c": "1e999", "d": None, "e": True})


@number
@pytest.mark.parametrize("field", ["evidence", "rescore"])
def test_a_runners_note_is_bounded(number: str, field: str) -> None:
    evidence = '{"before": {}, "after": {}, "changed": [], "wall_s": WALL, "rescore": {"marks": [0.5, MARK]}}'
    values = {"WALL": "1.0", "MARK": "1.0"} | {{"evidence": "WALL", "rescore": "MARK"}[field]: number}
    for name in ("WALL", "MARK"):
        evidence = evidence.replace(name, values[name])
    text = '{"at": 1, "reason": "exited", "exit_code": 0, "message": ""'
    note = read_note(f'{text}, "evidence": {evidence}}}'.encode(), EndNote)
    assert note is None or holds_plausible(note.evidence)
    read_note(f'{{"pid": {number}, "at": {number}}}'.encode(), StartNote)


@number
def test_the_ratio_and_the_duration_of_a_line_are_bounded(number: str) -> None:
    for text in (f"{number}/1", f"1/{number}", "999999999999999/1", f"{number}m 3s", f"{number}:00:01", f"{number}%"):
        found = leading_number(text)
        assert found is None or is_plausible(found.value)


@number
@pytest.mark.parametrize("status", ["keep", "crash"])
def test_a_results_file_with_any_number_is_judged_or_refused(tmp_path: Path, number: str, status: str) -> None:
    head = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
    rows = [
        f"abc{i % 3}\t{value}\t1\t{status}\tchange DEPTH=9\n"
        for i, value in enumerate([0.99, number, 0.98, number] * 3)
    ]
    path = tmp_path / "results.tsv"
    path.write_text(head + "".join(rows))
    for read in (audit_results, lambda path: read_night(path, "val_bpb"), findings):
        said_or_refused(lambda read=read: read(path))  # type: ignore[misc]


@number
def test_a_table_of_trials_with_any_number_is_read_or_refused(tmp_path: Path, number: str) -> None:
    rows = "".join(f'{{"val_bpb": {value}, "wt": {number}, "DEPTH": {number}}},' for value in (0.99, number, 0.98))
    texts = {
        "a.json": f"[{rows[:-1]}]",
        "a.csv": f"val_bpb,wt,DEPTH\n0.99,{number},{number}\n{number},1,8\n",
        "deep.json": "[" * 20_000 + "]" * 20_000,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        night = said_or_refused(lambda name=name: read_night(tmp_path / name, "val_bpb"))  # type: ignore[misc]
        for trial in night.trials if night is not None else ():
            assert trial.value is None or is_plausible(trial.value)
            assert holds_plausible(trial.constants)
    records = f'[{{"record": "a/1", "values": [1, {number}]}}, {{"record": "a/2", "values": [{number}, 2, 3]}}]'
    (tmp_path / "repeats.json").write_text(records)
    said_or_refused(lambda: audit_repeats(tmp_path / "repeats.json"))


@number
def test_a_file_of_findings_with_any_number_gives_bounded_ones(tmp_path: Path, number: str) -> None:
    names = "session,experiment,experiment_status,base,metric,outcome,difference,difference_low,difference_high,class"
    row = f"s,e0001,kept,e0000,val_bpb,valid,{number},{number},{number},H100,{number},{number}"
    texts = {
        "export.csv": f"{names},lines_added,constant:DEPTH\n{row}\n",
        "report.md": f"# report\n| MATRIX_LR 0.04 → {number} | +{number} |\n| DEPTH=8 → {number} | -0.01 |\n",
        "results.tsv": "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
        f"a1\t0.99\t1\tkeep\tbase\na2\t0.98\t1\tkeep\tMATRIX_LR to {number}\na3\t{number}\t1\tkeep\tDEPTH=9\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        for found in said_or_refused(lambda name=name: findings(tmp_path / name)) or []:  # type: ignore[misc]
            assert holds_plausible(found)


def findings(path: Path) -> list[Any]:
    return list(file_findings(path, VAL_BPB, CONSTANTS, lambda commit: None))


def said_or_refused(read: Callable[[], Any]) -> Any:
    """Return what is read; None where it is refused in a sentence."""
    try:
        return read()
    except (AuditError, CreateError) as error:
        assert 0 < len(str(error)) < 20_000 and "\n" not in str(error)
        return None


@pytest.mark.parametrize("found", [10**400, -(10**400), [[]], {}, "x", None, 1e300])
def test_a_signed_certificate_with_anything_in_it_is_reported_or_refused(tmp_path: Path, found: object) -> None:
    """Sign by a key of one's own, as anybody can."""
    key = Ed25519PrivateKey.generate()
    estimate = {"mean": found, "low": found, "high": found, "against": "e0000", "runs": found, "pairs": found}
    rescore = {"public_bpb": found, "sealed_bpb": found}
    plain = {"key": public_text(key), "commit": "c" * 40, "experiment": "e0001", "session": "s", "kept_by": "plan"}
    body = plain | {"estimate": estimate, "rescore": rescore, "probes": found, "unchecked": [], "simulated": False}
    path = tmp_path / "certificates" / "e0001.json"
    write(path, sign(body, key))
    try:
        assert check(path, None).summary
    except CertificateError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    "text", ["[]", '"x"', '{"card0": 5}', '{"card0": {"Card Series": 5}}', "[" * 50_000, "{", '{"a": []}']
)
def test_any_answer_of_a_tool_for_devices_lists_devices(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(devices, "_output", lambda *command: text)
    for listed in (devices.amd_devices(), devices.nvidia_devices()):
        assert all(isinstance(device.hardware, str) for device in listed)


@pytest.mark.parametrize("said", ["inf", "1e308", "-5", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", DIGITS])
def test_a_server_sets_no_wait_without_end(said: str) -> None:
    response = httpx2.Response(429, headers={"retry-after": said}, request=httpx2.Request("POST", "http://model"))
    waits = translated(anthropic.APIStatusError("limit", response=response, body=None), "m")
    after_s = getattr(waits, "after_s", 0.0)
    assert 0 <= ProposerTrouble("the limit is reached", after_s).retry_in_s <= RETRY_AT_MOST_S


@pytest.mark.parametrize("count", [-1, 10**30, None, "12", 1e308])
def test_counts_that_cannot_be_are_not_priced(count: Any) -> None:
    fine = {
        "input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": None, "cache_creation_input_tokens": 0,
    }  # fmt: skip
    assert is_counted(SimpleNamespace(**fine))
    assert not is_counted(SimpleNamespace(**fine | {"output_tokens": count}))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pid", ["-1", "0", "1", "2147483648", DIGITS, '"x"', "OWN"])
def test_only_a_sessions_own_worker_is_asked_to_end(tmp_path: Path, pid: str) -> None:
    """Write another number into the heartbeat, as a run that is not confined can."""
    folder = sim_session(tmp_path, speed=60.0, clusters=2, mode="autopilot", proposer="search")
    worker_process.start(folder)
    wait_for(lambda: state_of(folder).in_flight, 60, "a run")
    worker = lock.worker_status(folder).pid
    asked: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        os.kill(worker, signal.SIGSTOP)  # it would write its own again
        forged(folder, pid if pid != "OWN" else str(os.getpid()))
        os.kill(worker, signal.SIGCONT)
        assert worker_process.terminate(folder)
    finally:
        signal.signal(signal.SIGTERM, previous)
        worker_process.terminate(folder)
    assert not asked, "this process is not the worker"


def forged(folder: SessionFolder, pid: str) -> None:
    text = folder.heartbeat.read_text()
    beat = json.loads(text)
    folder.heartbeat.write_text(text.replace(f'"pid":{beat["pid"]}', f'"pid":{pid}'))


@number
def test_a_heartbeat_with_any_number_is_read_or_left_out(tmp_path: Path, number: str) -> None:
    folder = SessionFolder(tmp_path)
    for field in ("at", "steady", "pid"):
        values = {"pid": "5", "at": "1.0", "steady": "1.0"} | {field: number}
        numbers = ", ".join(f'"{name}": {value}' for name, value in values.items())
        folder.heartbeat.write_text(f'{{{numbers}, "host": "h", "user": "u"}}')
        beat = read_heartbeat(folder)
        assert beat is None or holds_plausible(beat)
        assert len(str(lock.worker_status(folder).heartbeat_age_s)) < 50


@pytest.mark.parametrize("levels", [[1e999, 1], [float("nan"), 1]])
def test_an_agents_level_that_is_not_finite_is_refused_as_an_argument(levels: list[Value]) -> None:
    with pytest.raises(ValueError, match="finite"):
        ProposeWave(question="how large?", factors={"MATRIX_LR": levels})


IDS = [[1], {}, 1.5, math.inf]


def test_a_request_whose_id_cannot_be_one_is_refused_and_the_next_is_answered(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cockpit", "mcp", str(sim_session(tmp_path, speed=60.0, clusters=2).root)]
    asked = [{"jsonrpc": "2.0", "id": one, "method": "tools/call", "params": {}} for one in IDS]
    asked += [
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        for params in ([1], {"requestId": [1]}, "x", 5)
    ]
    asked.append({"jsonrpc": "2.0", "id": "last", "method": "ping"})
    lines = "".join(f"{json.dumps(one)}\n" for one in asked)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["error"]["code"] for one in answers[:-1]] == [-32600] * len(IDS)
    assert answers[-1] == {"jsonrpc": "2.0", "id": "last", "result": {}} and "Traceback" not in done.stderr
