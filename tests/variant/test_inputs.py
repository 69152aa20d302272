"""Inputs that git does not store are found by the strings and imports of the scripts."""

from pathlib import Path

import pytest

from cockpit.variant.imported_scripts import with_imported
from cockpit.variant.inputs import command_paths, configured_paths, find_inputs
from cockpit.variant.outside_paths import outside_paths, read_variables


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ('open("data/val.txt")', "data"),
        ('open("./data/val.txt")', "data"),
        ('Path(__file__).parent / "data" / "val.txt"', "data"),
        ('os.path.join(ROOT, "data")', "data"),
        ('open("corpus.bin", "rb")', "corpus.bin"),
        ('open("sets/a/train.bin")', "sets/a"),
        ('np.load(".data/train.npy")', ".data"),
        ('root = ".cache_datasets/mnist"', ".cache_datasets"),
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


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ('model.load_state_dict(torch.load("checkpoints/base.pt"))', ("checkpoints/base.pt",)),
        ('AutoModel.from_pretrained("checkpoints/base.pt")', ("checkpoints/base.pt",)),
        (
            'if os.path.exists("checkpoints/base.pt"):\n    state = open("checkpoints/base.pt", "rb")',
            ("checkpoints/base.pt",),
        ),
        ('torch.save(model, "checkpoints/base.pt")\ntorch.load("checkpoints/base.pt")', ()),
        ('open("checkpoints/base.pt", "wb")', ()),
        ('torch.load("checkpoints/other.pt")', ()),
        ('OUT = "checkpoints/base.pt"', ()),
    ],
)
def test_a_file_in_a_folder_of_outputs_is_an_input_if_it_is_only_read(source: str, data: tuple[str, ...]) -> None:
    found = find_inputs(["checkpoints"], {"train.py": source}, is_file={"checkpoints/base.pt"}.__contains__)
    assert found.data == data


def test_the_modules_that_scripts_import_are_read_too() -> None:
    tree = {
        "pkg/io.py": "from . import paths\n",
        "pkg/paths.py": "",
        "pkg/__init__.py": "import train\n",
        "src/lib/__init__.py": "",
        "tools/near.py": "",
        "other.py": "",
    }
    scripts = {"tools/train.py": "import os, near\nimport lib\nfrom pkg.io import load\n"}
    assert sorted(with_imported(scripts, tree.get)) == [
        "pkg/__init__.py",
        "pkg/io.py",
        "pkg/paths.py",
        "src/lib/__init__.py",
        "tools/near.py",
        "tools/train.py",
    ]


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


def test_paths_that_lead_up_are_reported() -> None:
    source = 'open("../shared/val.txt")\nsys.path.append("..")\nprint("../ and more")\n'
    assert find_inputs([], {"train.py": source}).above == ("../shared/val.txt",)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of data beside a repository and a home."""
    for name in (
        "disk/a.bin",
        "home/.ssh/id",
        "home/.cache/sets/b.bin",
        "home/notes.txt",
        "repo/c.bin",
        "disk/tokens.bin",
        "hub/token",
        "hub/data/d.bin",
        "keys/a.pem",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{0}/disk/a.bin", "disk/a.bin"),
        ("{0}/disk", "disk"),
        ("{0}/disk/shard_%05d.bin", "disk"),
        ("{0}/disk/", "disk"),
        ("~/.cache/sets", "home/.cache/sets"),
        ("~/notes.txt", "home/notes.txt"),
        ("{0}/hub/data", "hub/data"),
        ("{0}/disk/tokens.bin", "disk/tokens.bin"),
    ],
)
def test_a_whole_path_outside_the_repository_is_data(disk: Path, text: str, found: str) -> None:
    assert outside_paths([text.format(disk)], disk / "repo") == (str(disk / found),)


@pytest.mark.parametrize(
    "text",
    ["/", "/tmp", "/dev/null", "/etc/passwd", "/usr/bin/env", "~", "~/", "~/.ssh", "~/.ssh/id", "~/.cache", "{0}",
     "{0}/none",
     "{0}/repo/c.bin", "{0}/keys/a.pem", "{0}/keys", "{0}/hub", "{0}/home", "/%d", "//", "/nul\0", "disk/a.bin"],
)  # fmt: skip
def test_no_system_folder_home_or_secret_is_data(disk: Path, text: str) -> None:
    assert outside_paths([text.format(disk)], disk / "repo") == ()


def test_a_file_in_a_folder_that_is_named_too_is_reported_once(disk: Path) -> None:
    assert outside_paths([f"{disk}/disk/a.bin", f"{disk}/disk"], disk / "repo") == (f"{disk}/disk",)


def test_variables_that_the_code_reads_are_found() -> None:
    source = """
import os
from os import environ, getenv
a, b, c, d = os.environ["A"], os.environ.get("B", "1"), os.getenv("C"), getenv("D")
e = environ.get("E")
os.environ["SET"] = "1"
"""
    assert read_variables({"train.py": source, "broken.py": "("}) == ("A", "B", "C", "D", "E")
