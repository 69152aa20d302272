"""The fingerprint of data changes with its content, and is the same for a copy."""

import os
import shutil
from pathlib import Path

import pytest

from cockpit.fleet.node import data
from cockpit.fleet.node.data import fingerprint, fingerprints, write_marks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "train").mkdir(parents=True)
    (made / "val.txt").write_text("0.98")
    (made / "train" / "a.bin").write_bytes(bytes(range(256)) * 400)
    return made


def test_a_copy_with_other_times_is_the_same_data(tmp_path: Path, folder: Path) -> None:
    before = fingerprint(str(folder))
    assert before.startswith("2 files, 102404 bytes, ")
    shutil.copytree(folder, tmp_path / "copy")
    os.utime(tmp_path / "copy" / "val.txt", (1, 1))
    assert fingerprint(str(tmp_path / "copy")) == before


@pytest.mark.parametrize("change", ["other bytes", "a file more", "a file less", "another name"])
def test_a_change_is_reported(folder: Path, change: str) -> None:
    before = fingerprint(str(folder))
    match change:
        case "other bytes":
            (folder / "val.txt").write_text("0.97")
        case "a file more":
            (folder / "more.txt").write_text("")
        case "a file less":
            (folder / "val.txt").unlink()
        case _:
            (folder / "val.txt").rename(folder / "test.txt")
    assert fingerprint(str(folder)) != before


def test_parts_of_a_large_file_are_read_from_its_first_byte_to_its_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "READ_BYTES", 1 << 16)
    path = folder / "large.bin"
    path.write_bytes(bytes(1 << 20))
    before = fingerprint(str(path))
    for place in (0, (1 << 20) - 1):
        changed = bytearray(1 << 20)
        changed[place] = 1
        path.write_bytes(changed)
        assert fingerprint(str(path)) != before


def test_locks_and_hidden_files_are_no_data(folder: Path) -> None:
    before = fingerprint(str(folder))
    (folder / "a.lock").write_text("1")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_text("1")
    assert fingerprint(str(folder)) == before


def test_links_are_followed_once(tmp_path: Path, folder: Path) -> None:
    (folder / "again").symlink_to(folder)
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    first = fingerprint(str(folder))
    assert first.startswith("3 files")
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert fingerprints({"data": str(link)}) == {"data": first}


def test_a_path_without_data_is_reported(tmp_path: Path) -> None:
    assert fingerprint(str(tmp_path / "nothing")) == "missing"
    assert fingerprint(str(tmp_path)) == "empty"


def test_a_bounded_number_of_files_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "FILES_AT_MOST", 3)
    for number in range(5):
        (folder / f"{number}.txt").write_text("x")
    assert fingerprint(str(folder)).startswith("the first 3 files, 3 bytes")


def test_a_write_that_is_restored_leaves_its_mark_and_reading_leaves_none(folder: Path) -> None:
    marks, before = write_marks({"data": str(folder)}), fingerprint(str(folder))
    (folder / "train" / "a.bin").read_bytes()
    (folder / "a.lock").write_text("1")
    assert write_marks({"data": str(folder)}) == marks
    path = folder / "val.txt"
    status = path.stat()
    path.write_text("0.50")
    path.write_text("0.98")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(str(folder)) == before
    assert write_marks({"data": str(folder)}) != marks
