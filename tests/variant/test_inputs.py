"""Inputs that git does not store are found by the strings and imports of the scripts."""

import pytest

from cockpit.variant.inputs import command_paths, configured_paths, find_inputs


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


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("from pkg.sub.model import X", "pkg/sub"),
        ("import pkg.sub.model", "pkg"),
        ("from pkg.sub import model", "pkg/sub"),
        ("from .sub.model import X", "pkg/sub"),
        ("from .sub import model", "pkg/sub"),
    ],
)
def test_a_module_in_a_folder_that_git_does_not_store_is_named_by_its_file(source: str, folder: str) -> None:
    scripts = {"pkg/train.py" if source.startswith("from .") else "train.py": source}
    found = find_inputs([folder], scripts, is_file={"pkg/sub/model.py"}.__contains__)
    assert found.modules == ("pkg/sub/model.py",) and found.data == ()


def test_the_package_of_an_uncommitted_module_is_named_too() -> None:
    files = {"pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/model.py", "pkg/other.py"}
    found = find_inputs(["pkg"], {"train.py": "from pkg.sub.model import X"}, is_file=files.__contains__)
    assert found.modules == ("pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/model.py")


def test_a_folder_of_data_with_the_name_of_a_library_is_data() -> None:
    source = 'import datasets\nopen("datasets/val.txt")\n'
    found = find_inputs(["datasets"], {"train.py": source}, is_file=lambda path: False)
    assert (found.data, found.modules) == (("datasets",), ())


@pytest.mark.parametrize(
    "text", ['{"data": "corpus/val.txt", "depth": 8}', "data:\n  path: corpus  # here\n", "root = './corpus/'"]
)
def test_a_configuration_names_data_too(text: str) -> None:
    assert find_inputs(["corpus"], {"train.py": ""}, configured_paths(text)).data == ("corpus",)


@pytest.mark.parametrize("text", ["--data=corpus", "--input-file corpus", "--fast=1 corpus", "corpus/val.txt"])
def test_a_command_names_data_too(text: str) -> None:
    words = command_paths(["python", "train.py", *text.split()])
    assert find_inputs(["corpus"], {"train.py": ""}, words).data == ("corpus",)


@pytest.mark.parametrize("text", ["save_dir: corpus", '{"out": "corpus"}', "log_path = corpus"])
def test_a_folder_that_a_run_writes_is_not_linked(text: str) -> None:
    assert "corpus" not in configured_paths(text)
    assert "corpus" not in command_paths(["python", "train.py", "-o", "corpus", "--out-dir=corpus"])


def test_paths_that_lead_up_are_told() -> None:
    source = 'open("../shared/val.txt")\nsys.path.append("..")\nprint("../ and more")\n'
    assert find_inputs([], {"train.py": source}).above == ("../shared/val.txt",)
