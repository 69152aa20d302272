"""The variables that a run on this machine inherits: those of training, and never a secret."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.fleet.node.environment import data_folders, passed_on
from cockpit.fleet.secret_names import is_secret


@pytest.mark.parametrize(
    "name",
    [
        "HF_HOME",
        "NCCL_P2P_DISABLE",
        "PYTORCH_CUDA_ALLOC_CONF",
        "UV_CACHE_DIR",
        "LD_LIBRARY_PATH",
        "TOKENIZERS_PARALLELISM",
        "KMP_AFFINITY",
        "ALL_PROXY",
        "CC",
        "JULIA_DEPOT_PATH",
    ],
)
def test_a_variable_of_training_is_passed_on(name: str) -> None:
    assert passed_on((), {name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "WANDB_API_KEY", "ANTHROPIC_API_KEY", "UV_INDEX_MINE_PASSWORD", "AWS_SECRET_ACCESS_KEY"]
)
def test_a_secret_is_not_passed_on_even_when_it_is_named(name: str) -> None:
    assert passed_on((name, "*"), {name: "x"}) == {}


def test_a_proxy_with_a_password_is_left_out() -> None:
    assert passed_on((), {"HTTPS_PROXY": "http://me:pass@proxy:1"}) == {}
    assert passed_on((), {"HTTPS_PROXY": "http://proxy:1"}) == {"HTTPS_PROXY": "http://proxy:1"}


def test_a_pattern_passes_other_variables_on() -> None:
    assert passed_on(("MYLIB_*",), {"MYLIB_ROOT": "/x", "OTHER": "y"}) == {"MYLIB_ROOT": "/x"}


@given(
    st.dictionaries(st.text(string.ascii_uppercase + "_", min_size=1), st.text(max_size=20)),
    st.lists(st.text(max_size=9)),
)
def test_no_secret_ever_reaches_a_run(environment: dict[str, str], wanted: list[str]) -> None:
    assert not [name for name in passed_on(wanted, environment) if is_secret(name)]


def test_no_folder_that_a_run_reads_holds_a_token_of_hugging_face(tmp_path: Path) -> None:
    home = tmp_path / "hf"
    (home / "hub").mkdir(parents=True)
    for name in ("token", "stored_tokens"):
        (home / name).write_text("hf_secret")
    folders = data_folders({"HF_HOME": str(home)})
    assert home / "hub" in folders
    assert not any((home / "token").is_relative_to(folder) for folder in folders)


def test_a_folder_of_everything_is_not_data(tmp_path: Path) -> None:
    assert tmp_path not in data_folders({"XDG_DATA_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)})
