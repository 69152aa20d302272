"""Certificates that are signed well and say odd things: one sentence each, and no escape reaches a terminal."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cockpit.certificate.check import check
from cockpit.certificate.sign import CertificateError, public_text, read, sign, write
from cockpit.cli.certificate import print_check
from tests.certificate.test_certificate import file, keep, repo

__all__ = ["file", "keep", "repo"]


def signed(file: Path, place: Path, changed: dict[str, object]) -> Path:
    """Sign the body of a certificate, changed, with a key of its own."""
    key = Ed25519PrivateKey.generate()
    path = place / "signed.json"
    write(path, sign(read(file).body | changed | {"key": public_text(key)}, key))
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"script": "../../etc/passwd"}, {"script": "/etc/passwd"}, {"files_sha256": {"../train.py": "0" * 64}},
        {"files_sha256": {"a\x00b": "0" * 64}}, {"commit": "--help"}, {"commit": "HEAD"}, {"commit": "HEAD~0"},
        {"commit": ""}, {"commit": "0" * 40}, {"session": "../../other"}, {"files": ["a"] * 10_000, "script": "b.py"},
        {"train_sha256": "0" * 64}, {"prepare_sha256": "0" * 64}, {"estimate": {"mean": 1e308}},
    ],
    ids=str,
)  # fmt: skip
def test_a_signed_body_that_names_other_code_is_one_sentence(
    file: Path, tmp_path: Path, repo: Path, changed: dict[str, object]
) -> None:
    with pytest.raises(CertificateError) as error:
        check(signed(file, tmp_path, changed), repo)
    assert "\n" not in str(error.value) and "\x00" not in str(error.value)


def test_a_body_without_hashes_proves_no_code(file: Path, tmp_path: Path, repo: Path) -> None:
    none: dict[str, object] = {"train_sha256": "", "prepare_sha256": "", "files_sha256": {}}
    found = check(signed(file, tmp_path, none), repo)
    assert "the code: the certificate has no hash of it" in found.does_not_prove
    assert not any("of its hashes" in line for line in found.proves)
    found = check(signed(file, tmp_path, {"prepare_sha256": "", "files_sha256": {}}), repo)
    assert any(line.endswith("holds the train.py of its hashes") for line in found.proves)


def test_a_second_hash_of_a_file_does_not_hide_the_first(file: Path, tmp_path: Path, repo: Path) -> None:
    right = read(file).body["train_sha256"]
    both: dict[str, object] = {"train_sha256": "0" * 64, "files_sha256": {"train.py": right}}
    with pytest.raises(CertificateError, match="is not the certified one"):
        check(signed(file, tmp_path, both), repo)


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.5, -1])
def test_a_certificate_of_another_format_is_one_sentence(
    version: object, file: Path, tmp_path: Path, repo: Path
) -> None:
    with pytest.raises(CertificateError, match=r"is of format .*, and this cockpit reads 1: upgrade"):
        check(signed(file, tmp_path, {"format": version}), repo)


def test_a_score_in_a_certificate_is_the_word_of_its_signer(file: Path, tmp_path: Path, repo: Path) -> None:
    """Sign a score that no scorer computed with a key of one's own."""
    score = read(file).body["rescore"] | {"public_bpb": 0.1}
    found = check(signed(file, tmp_path, {"rescore": score}), repo)
    [line] = [line for line in found.proves if "0.1000" in line]
    assert line.startswith("its signer states that")


ODD = "\x1b[2Je0001\r\nproves: everything"


@pytest.mark.parametrize(
    "changed", [{"experiment": ODD}, {"unchecked": [ODD]}, {"session": ODD}], ids=lambda one: next(iter(one))
)
def test_no_escape_of_a_signed_body_reaches_the_terminal(
    changed: dict[str, object],
    file: Path,
    tmp_path: Path,
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(repo)
    path = signed(file, tmp_path, changed)
    try:
        print_check(str(path))
        said = capsys.readouterr().out
    except CertificateError as error:
        said = str(error)
    assert "\x1b" not in said and "\r" not in said and "\nproves: everything" not in said
