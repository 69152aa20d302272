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
