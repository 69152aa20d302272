"""Inputs that git does not store are found by the strings and imports of the scripts."""

import pytest

from cockpit.variant.inputs import find_inputs


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ('open("data/val.txt")', "data"),
        ('open("./data/val.txt")', "data"),
        ('Path(__file__).parent / "data" / "val.txt"', "data"),
        ('os.path.join(ROOT, "data")', "data"),
        ('open("corpus.bin", "rb")', "corpus.bin"),
        ('open("sets/a/train.bin")', "sets/a"),
    ],
)
def test_a_data_path_in_a_string_is_an_input(source: str, path: str) -> None:
    assert find_inputs([path], {"train.py": source}).data == (path,)


@pytest.mark.parametrize("source", ["import model", "from model import X", "import model as m"])
def test_an_imported_module_is_an_input(source: str) -> None:
    assert find_inputs(["model.py"], {"train.py": source}).modules == ("model.py",)


@pytest.mark.parametrize("path", [".venv", "__pycache__", "sessions", "wandb", "notes.txt", "other.py", "cockpit.toml"])
def test_other_paths_are_not_inputs(path: str) -> None:
    found = find_inputs([path], {"train.py": 'import os\nopen("sessions/x"); open(".venv/y"); print("wandb")'})
    assert found.data == found.modules == ()


def test_a_script_that_does_not_parse_names_no_input() -> None:
    assert find_inputs(["data"], {"train.py": 'open("data/'}).data == ()
