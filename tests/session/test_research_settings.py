"""The table of `[research]`: cockpit.toml, the flags of `cockpit new` and older files mean the same."""

from pathlib import Path

import pytest

from cockpit.cli.errors import UsageError
from cockpit.cli.making import with_flags
from cockpit.cli.parser import parser
from cockpit.cli.research_flags import given_research_flags
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import Settings, read_settings

EIGHT = "torchrun --nproc_per_node=8 train.py"


def flagged(*words: str) -> Settings:
    """Return the default settings with the flags of a command line."""
    return with_flags(Settings(), {}, given_research_flags(parser().parse_args(["new", *words])))


def written(folder: Path, text: str) -> Settings:
    (folder / "cockpit.toml").write_text(text)
    return read_settings(folder)


@pytest.mark.parametrize(
    ("words", "toml"),
    [
        (["--command", EIGHT], f"command = '{EIGHT}'"),
        (["--time-budget", "30", "--time-limit", "90"], "time_budget_s = 30\ntime_limit_s = 90"),
        (["--no-confine", "--network"], "confine = false\nnetwork = true"),
        (["--env", "MYLIB_*,DATA_DIR"], "env = ['MYLIB_*', 'DATA_DIR']"),
        (["--links", "data", "--artifacts", "*.bin"], "links = ['data']\nartifacts = ['*.bin']"),
        (["--gpus-per-run", "8", "--rescore", "off"], "gpus_per_run = 8\nrescore = 'off'"),
    ],
)
def test_a_flag_and_a_line_of_the_file_mean_the_same(tmp_path: Path, words: list[str], toml: str) -> None:
    by_flag = flagged(*words).research
    assert by_flag == written(tmp_path, f"[research]\n{toml}\n").research
    assert by_flag != ResearchSettings()


def test_a_flag_overrides_the_file(tmp_path: Path) -> None:
    configured = written(tmp_path, "[research]\ntime_limit_s = 90\ncommand = 'uv run train.py'\n")
    given = given_research_flags(parser().parse_args(["new", "--time-limit", "20"]))
    found = with_flags(configured, {}, given).research
    assert (found.time_limit_s, found.command) == (20.0, "uv run train.py")


def test_settings_of_older_files_keep_their_meaning(tmp_path: Path) -> None:
    old = "[session]\nrun_command = ['uv', 'run', 'my script.py']\ntime_budget_s = 30\nclusters = 2\n"
    found = written(tmp_path, old)
    assert found.research.command == "uv run 'my script.py'"
    assert found.research.time_budget_s == 30.0
    assert found.session.clusters == 2


@pytest.mark.parametrize("words", [["--gpus-per-run", "-1"], ["--time-limit", "soon"], ["--rescore", "never"]])
def test_a_flag_with_a_wrong_value_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        flagged(*words)
