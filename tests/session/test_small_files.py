"""Small files are replaced as a whole, and the end of a long file is text."""

from pathlib import Path

from cockpit.session.small_files import end_of_file, replace_file


def test_a_replaced_file_keeps_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("old")
    path.chmod(0o600)
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_mode_that_is_given_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.touch(0o600)
    replace_file(path, b"{}", 0o640)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_reader_that_has_the_old_file_open_reads_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "turn.json"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        replace_file(path, b"new and longer")
        assert reader.read() == b"old"


def test_the_end_of_a_file_is_text_also_where_it_begins_within_a_character(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before é after", encoding="utf-8")
    assert end_of_file(path, 7) == "\ufffd after"
    assert end_of_file(path, 100) == "before é after"


def test_a_file_that_cannot_be_read_has_an_empty_end(tmp_path: Path) -> None:
    assert end_of_file(tmp_path / "missing", 10) == ""
    assert end_of_file(tmp_path, 10) == ""
