"""A forger changes a certificate, swaps two, takes another key, ledger or repository: one sentence, never a proof."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cockpit.certificate.body import body
from cockpit.certificate.check import check
from cockpit.certificate.sign import CertificateError, canonical, public_text, read, sign, write
from cockpit.core.state import State
from tests.certificate.test_certificate import file, keep, keep_of, night, repo
from tests.worker.sessions import git
from tests.worker.test_effects import Night

__all__ = ["file", "keep", "night", "repo"]

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def told(keep: State) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(canonical(body(keep, 7, "00", public_text(KEY))))
    return found


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value of a body, the body's own left out."""
    if path:
        yield path
    named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in named:
        yield from places(inner, (*path, name))


def changed(told: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Return a copy of a body with another value at a path."""
    copy = json.loads(json.dumps(told))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    found: dict[str, Any] = copy
    return found


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_changed_field_under_the_old_signature_is_found(
    told: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(list(places(told))))
    forged = changed(told, path, data.draw(VALUES))
    assume(canonical(forged) != canonical(told))
    place = tmp_path_factory.getbasetemp() / "forged.json"
    honest = sign(told, KEY)
    digest = sign(forged, OTHER).digest if data.draw(st.booleans()) else honest.digest
    place.write_text(
        json.dumps({"body": forged, "digest": digest, "signature": honest.signature}, indent=1, sort_keys=True) + "\n"
    )
    with pytest.raises(CertificateError, match="is not as it was signed: at least one byte was changed"):
        read(place)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_field_under_a_new_signature_proves_no_key(
    told: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Sign any body anew: the check ends in one sentence, or says that nothing shows whose key it is."""
    path = data.draw(st.sampled_from(list(places(told))))
    forged = changed(told, path, data.draw(VALUES)) | {"key": public_text(OTHER)}
    place = tmp_path_factory.getbasetemp() / "signed.json"
    write(place, sign(forged, OTHER))
    try:
        found = check(place, None)
    except CertificateError as error:
        assert "\n" not in str(error)
        return
    assert "whose key it is: the session's ledger is not beside the file" in found.does_not_prove


def test_a_file_that_was_cut_anywhere_is_one_sentence(file: Path) -> None:
    data = file.read_bytes()
    for size in range(0, len(data), 97):
        file.write_bytes(data[:size])
        with pytest.raises(CertificateError) as error:
            read(file)
        assert str(error.value).startswith(f"{file} is not ") and "\n" not in str(error.value)


def test_parts_of_two_certificates_make_none(told: dict[str, Any], tmp_path: Path) -> None:
    one, other = sign(told, KEY), sign(told | {"experiment": "e0099"}, KEY)
    for parts in ((one.body, other), (other.body, one)):
        forged = {"body": parts[0], "digest": parts[1].digest, "signature": parts[1].signature}
        (tmp_path / "a.json").write_text(json.dumps(forged, indent=1, sort_keys=True) + "\n")
        with pytest.raises(CertificateError, match="at least one byte was changed"):
            read(tmp_path / "a.json")


def test_two_certificates_that_changed_their_names_are_told_apart(night: Night) -> None:
    """Give the certificate of one keep the name of another's: it is that of the experiment that it names."""
    night.worker.apply(keep_of(night))
    honest = night.folder.certificate("e0001")
    other = honest.with_name("e0000.json")
    shutil.copy(honest, other)
    found = check(other, night.place / "repo")
    assert "e0001" in found.summary
    key = Ed25519PrivateKey.generate()
    write(other, sign(read(honest).body | {"experiment": "e0000", "key": public_text(key)}, key))
    with pytest.raises(CertificateError, match="holds another certificate of e0000"):
        check(other, night.place / "repo")


def test_a_ledger_from_before_the_keep_is_one_sentence(night: Night) -> None:
    older = night.folder.events.read_bytes()
    night.worker.apply(keep_of(night))
    file = night.folder.certificate("e0001")
    night.folder.events.write_bytes(older)
    with pytest.raises(CertificateError, match=r"does not hold the events that e0001\.json was signed on"):
        check(file, night.place / "repo")


def test_a_repository_that_lost_the_commit_is_one_sentence(file: Path, repo: Path) -> None:
    commit = read(file).body["commit"]
    objects = repo / ".git" / "objects"
    git(repo, "gc", "-q")
    for pack in objects.glob("pack/*"):
        pack.chmod(0o644)
        pack.unlink()
    loose = objects / commit[:2] / commit[2:]
    loose.unlink(missing_ok=True)
    with pytest.raises(CertificateError, match="the certified code is not in") as error:
        check(file, repo)
    assert "\n" not in str(error.value)
