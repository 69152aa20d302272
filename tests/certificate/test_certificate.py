"""Certificates: signed once for each keep, checked offline against code and ledger; a changed byte is one sentence."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cockpit.certificate.body import body
from cockpit.certificate.check import check
from cockpit.certificate.sign import CertificateError, public_text, read, session_key, sign, write
from cockpit.cli.certificate import print_check
from cockpit.core.events import Certified, Decided, IncumbentSet, Started, Trouble
from cockpit.core.model import Estimate, ExperimentStatus
from cockpit.core.state import State
from cockpit.report.html import html
from cockpit.variant.store import VariantStore
from tests.decide.test_rescoring import GOOD, kept
from tests.worker.sessions import git, repository
from tests.worker.test_effects import Night

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def keep() -> State:
    """The state of a session that has kept a change, with a score from outside."""
    return kept(GOOD)[0].state


@pytest.fixture
def repo(tmp_path: Path, keep: State) -> Path:
    """A repository whose first commit is the kept code."""
    repo = repository(tmp_path / "repo", "LR = 2\nprint('val_bpb: 1.0')\n")
    store = VariantStore(repo, "s")
    variant = store.baseline()
    store.close()
    experiment = keep.experiments[keep.incumbent]
    experiment.commit, experiment.train_hash, experiment.prepare_hash = (
        variant.commit, variant.train_hash, variant.prepare_hash,
    )  # fmt: skip
    return repo


@pytest.fixture
def file(tmp_path: Path, keep: State, repo: Path) -> Path:
    key = session_key(tmp_path / "certificate.key")
    write(tmp_path / "e0001.json", sign(body(keep, 7, "00", public_text(key)), key))
    return tmp_path / "e0001.json"


def test_a_certificate_shows_the_evidence_of_its_keep(file: Path, keep: State) -> None:
    told = read(file).body
    assert told["experiment"] == keep.incumbent and told["base"] == "e0000"
    assert told["rescore"]["public_bpb"] == GOOD.public_bpb
    assert told["level"] == keep.experiments[keep.incumbent].test_level > 0
    assert told["estimate"]["low"] <= told["estimate"]["mean"] <= told["estimate"]["high"] < 0
    assert {run["kind"] for run in told["runs"]} >= {"replicate", "confirmation"}
    assert told["noise"]["run_sd"] > 0


def test_a_certificate_is_checked_against_the_code_without_a_session(file: Path, repo: Path) -> None:
    found = check(file, repo)
    assert any("holds the train.py and prepare.py" in line for line in found.proves)
    assert "whose key it is: the session's ledger is not beside the file" in found.does_not_prove
    alone = check(file, None)
    assert "the code: no repository is here" in alone.does_not_prove


def test_one_changed_byte_is_one_sentence(file: Path) -> None:
    data = file.read_bytes()
    for place in range(0, len(data), 11):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(CertificateError) as error:
            read(file)
        assert str(error.value) == f"{file} is not as it was signed: at least one byte was changed"
    for other, said in (
        *((bad, "at least one byte was changed") for bad in (data[:-1], data + b" ", b"{" * 10_000 + data)),
        *((bad, "is not a certificate: those of a session") for bad in (b"", b"[]", b"{" * 10_000, b'{"a": 1}')),
    ):
        file.write_bytes(other)
        with pytest.raises(CertificateError, match=said):
            read(file)


def test_every_changed_byte_of_the_signature_is_found(file: Path) -> None:
    """Try every spelling: the last character of base64 has bits that do not count."""
    data = file.read_bytes()
    signature = read(file).signature.encode()
    start = data.index(signature)
    for place in range(start, start + len(signature)):
        for other in b"ABCDQRSTghijwxyz019+/=":
            if data[place] != other:
                file.write_bytes(data[:place] + bytes([other]) + data[place + 1 :])
                with pytest.raises(CertificateError, match="at least one byte was changed"):
                    read(file)


def forged(data: bytes, how: str) -> bytes:
    """Return a certificate's file with one kind of forgery."""
    told = json.loads(data)
    if how == "the signature of another key":
        told["signature"] = sign(told["body"], Ed25519PrivateKey.generate()).signature
        return json.dumps(told, indent=1, sort_keys=True).encode() + b"\n"
    old, new = {
        "a field twice": (b'"body"', b'"digest": "00",\n "body"'),
        "a field of the body twice": (b'"commit"', b'"commit": "00",\n  "commit"'),
        "a number that is infinite": (b'"level": ', b'"level": 1e999, "lever": '),
        "a number of too many digits": (b'"level": ', b'"level": ' + b"9" * 5_000 + b', "lever": '),
        "an unknown field": (b'"digest"', b'"also": 1,\n "digest"'),
        "other white space": (b"\n", b"\r\n"),
        "a byte order mark": (b"{", b"\xef\xbb\xbf{"),
    }[how]
    assert old in data
    return data.replace(old, new, 1)


@pytest.mark.parametrize(
    "how",
    [
        "the signature of another key", "a field twice", "a field of the body twice", "a number that is infinite",
        "a number of too many digits", "an unknown field", "other white space", "a byte order mark",
    ],
)  # fmt: skip
def test_a_forged_file_is_one_sentence(file: Path, how: str) -> None:
    data = file.read_bytes()
    read(file)
    file.write_bytes(forged(data, how))
    with pytest.raises(CertificateError) as error:
        read(file)
    assert str(error.value) == f"{file} is not as it was signed: at least one byte was changed"


@pytest.mark.parametrize(
    "changed",
    [
        {"rescore": {"public_bpb": 10**400, "sealed_bpb": 1.0}}, {"ledger": []}, {"estimate": {"low": "a"}},
        {"commit": ["-p"]}, {"probes": None, "rescore": {}}, {"unchecked": 3}, {"session": {"a": 1}},
    ],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_a_signed_body_of_other_kinds_is_one_sentence(
    file: Path, tmp_path: Path, repo: Path, changed: dict[str, object]
) -> None:
    key = Ed25519PrivateKey.generate()
    write(tmp_path / "a.json", sign(read(file).body | changed | {"key": public_text(key)}, key))
    if "ledger" in changed:
        (tmp_path / "certificates").mkdir()
        (tmp_path / "a.json").replace(tmp_path / "certificates" / "a.json")
        (tmp_path / "events.log").write_bytes(b"")
    path = next(tmp_path.rglob("a.json"))
    with pytest.raises(CertificateError) as error:
        check(path, repo)
    assert "\n" not in str(error.value)


def test_code_that_is_not_the_certified_one_is_one_sentence(file: Path, tmp_path: Path) -> None:
    other = repository(tmp_path / "other", "print('val_bpb: 2.0')\n")
    with pytest.raises(CertificateError, match="the certified code is not in"):
        check(file, other)


def test_a_signed_file_that_is_no_certificate_is_one_sentence(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    write(tmp_path / "a.json", sign({"key": public_text(key)}, key))
    with pytest.raises(CertificateError, match="this cockpit cannot read it as a certificate"):
        check(tmp_path / "a.json", None)
    with pytest.raises(CertificateError, match="cannot be read: No such file"):
        check(tmp_path / "b.json", None)


def test_the_key_is_its_owners_alone_and_stays(tmp_path: Path) -> None:
    first = session_key(tmp_path / "certificate.key")
    assert (tmp_path / "certificate.key").stat().st_mode & 0o777 == 0o600
    assert public_text(session_key(tmp_path / "certificate.key")) == public_text(first)


# The worker


ESTIMATE = Estimate(-0.02, -0.03, -0.01, 0.9, 5, "e0000", "H100")


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """A simulated session whose worker has a baseline and a second experiment."""
    night = Night(tmp_path, Started)
    night.worker.start()
    assert night.run_until(lambda: len(night.state.experiments) > 1)
    yield night
    night.worker.abandon()


def keep_of(night: Night) -> IncumbentSet:
    return IncumbentSet(at=night.worker.now(), experiment="e0001", reason="it is better", estimate=ESTIMATE)


def test_a_keep_is_certified_once_and_noted_on_its_commit(
    night: Night, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Decided(at=night.worker.now(), experiment="e0001", status=ExperimentStatus.KEPT, reason="it is better")
    night.worker.apply(kept, keep_of(night))
    [certified] = [event for event in night.events() if isinstance(event, Certified)]
    file = night.folder.certificate("e0001")
    assert read(file).digest == certified.digest == night.state.certificates["e0001"]
    commit = night.state.experiments["e0001"].commit
    repo = night.place / "repo"
    assert certified.digest in git(repo, "notes", "--ref=cockpit", "show", commit)
    assert certified.digest in html(night.state, night.worker.now())
    found = check(file, repo)
    assert any("this digest after them" in line for line in found.proves)
    assert "anything about training: the session was simulated" in found.does_not_prove
    monkeypatch.chdir(repo)
    assert print_check(str(file)) == 0
    assert "does not prove: " in capsys.readouterr().out
    night.worker.apply(keep_of(night))
    assert night.count(Certified) == 1
    assert not [event for event in night.events() if isinstance(event, Trouble)]


@pytest.mark.parametrize("written", [False, True], ids=["before the file", "before its digest was recorded"])
def test_a_worker_killed_before_the_certificate_signs_it_once_after_a_restart(night: Night, written: bool) -> None:
    night.worker.record(keep_of(night))
    if written:
        night.worker._reactor.react(night.state, keep_of(night))
    night.restart()
    assert night.count(Certified) == 1
    assert read(night.folder.certificate("e0001")).digest == night.state.certificates["e0001"]


def test_a_certificate_signed_again_by_another_key_is_not_the_ledgers(night: Night) -> None:
    night.worker.apply(keep_of(night))
    file = night.folder.certificate("e0001")
    told = read(file).body
    told["estimate"]["mean"] = -0.5
    key = Ed25519PrivateKey.generate()
    write(file, sign(told | {"key": public_text(key)}, key))
    with pytest.raises(CertificateError, match="holds another certificate of e0001"):
        check(file, night.place / "repo")


@pytest.mark.parametrize("how", ["with a hole", "cut short", "rewritten", "empty"])
def test_a_ledger_that_lacks_the_events_is_one_sentence(night: Night, how: str) -> None:
    night.worker.apply(keep_of(night))
    file, events = night.folder.certificate("e0001"), night.folder.events
    data = events.read_bytes()
    half = len(data) // 2
    events.write_bytes(
        {
            "with a hole": data[: half - 40] + data[half:],
            "cut short": data[:half],
            "rewritten": data[:half] + bytes(len(data) - half),
            "empty": b"",
        }[how]
    )
    with pytest.raises(CertificateError, match=r"does not hold the events that e0001\.json was signed on") as error:
        check(file, night.place / "repo")
    assert "\n" not in str(error.value)


def test_events_after_the_keep_change_nothing(night: Night) -> None:
    night.worker.apply(keep_of(night))
    file = night.folder.certificate("e0001")
    before = check(file, night.place / "repo")
    night.worker.apply(Trouble(at=night.worker.now(), text="later", about="e0001"))
    assert check(file, night.place / "repo") == before
    with night.folder.events.open("ab") as stream:
        stream.write(b"more")
    assert check(file, night.place / "repo") == before, "a frame that is being written ends the stream"


def test_a_certificate_of_another_session_is_one_sentence(night: Night, tmp_path: Path) -> None:
    night.worker.apply(keep_of(night))
    other = tmp_path / "other" / "certificates"
    other.mkdir(parents=True)
    shutil.copy(night.folder.certificate("e0001"), other)
    data = night.folder.events.read_bytes()
    (other.parent / "events.log").write_bytes(data[: len(data) // 3])
    with pytest.raises(CertificateError, match=r"does not hold the events that e0001\.json was signed on"):
        check(other / "e0001.json", night.place / "repo")


def test_the_baseline_has_no_certificate(night: Night) -> None:
    assert night.state.incumbent == "e0000"
    assert night.count(Certified) == 0 and not night.folder.certificate("e0000").exists()
