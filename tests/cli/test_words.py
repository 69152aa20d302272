"""Every word of the command line and of cockpit.toml means something, or is refused in one sentence that names it."""

import argparse
import re
from pathlib import Path

import pytest

from cockpit.cli.commands.groups import ALIASES, GROUPS, Group
from cockpit.cli.main import main
from cockpit.cli.parser import parser
from cockpit.cli.research_flags import HEADINGS
from cockpit.session.research_settings import rows
from cockpit.session.setting_types import SettingsError
from cockpit.session.settings import Settings, read_settings


@pytest.mark.parametrize(
    "words",
    [
        "new --hours 0", "new --budget -3", "new --budget nan", "new --time-limit inf", "new --time-budget soon",
        "new --seed -1", "new --fleet cloud", "demo --speed 0", "demo --clusters 0", "mode auto", "propose",
        "propose LR=1 --replicates 0", "budget much", "frobnicate", "approve", "stop --drain --cancel", "say",
        "replay --speed -1", "envelope --wave-size 0", "down --leave",
    ],
)  # fmt: skip
def test_a_word_without_a_meaning_is_refused_in_one_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("cockpit: ") and said.count("\n") == 1 and "--help" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("statsu", "there is no command 'statsu': did you mean status?"),
        ("mode auto", "there is no mode 'auto': did you mean autopilot?"),
        ("new --fleet moon", "there is no --fleet 'moon': choose local, sky, sim"),
        ("--repo . status", "--repo is for new, open and doctor"),
    ],
)
def test_a_mistyped_name_gets_a_suggestion(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["propose", "LR"], "'LR' is not a factor"),
        (["propose", "LR="], "'LR=' is not a factor"),
        (["propose", "L R=1"], "'L R=1' is not a factor"),
        (["propose", "LR={}"], "{} is not a level"),
    ],
)
def test_a_factor_without_levels_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    assert said in capsys.readouterr().err


def test_every_command_is_in_one_group_of_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    found = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    grouped = [name for group in GROUPS for name in group.commands]
    aliases = [alias for names in ALIASES.values() for alias in names]
    assert sorted([*grouped, *aliases]) == sorted(found.choices)
    for group in GROUPS:
        assert f"\n{group.title}:\n" in shown and f"  example: {group.example}\n" in shown + "\n"
        for name in group.commands:
            line = next(line for line in shown.splitlines() if re.match(rf"  {name}\b", line))
            assert len(line.removeprefix(f"  {name}").split()) > 1, "a help that says what it does"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.title))
def test_the_example_of_a_group_is_one_of_its_commands(group: Group) -> None:
    words = group.example.split()[1:]
    assert words[0] in group.commands
    parser().parse_args(words)


@pytest.mark.parametrize(("name", "alias"), [(name, alias) for name, names in ALIASES.items() for alias in names])
def test_a_word_of_skypilot_is_the_same_command(name: str, alias: str) -> None:
    more = ["e0042"] if name == "log" else []
    assert vars(parser().parse_args([alias, *more])) == vars(parser().parse_args([name, *more]))


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("colour = 1\n", "there is no setting 'colour': remove it"),
        ("[envelope]\nwave_sise = 3\n", "in [envelope]: did you mean 'wave_size'?"),
        ("[session]\nclusters = -1\n", "[session] clusters: expected `int` >= 0"),
        ("[research]\ntime_limit_s = -5\n", "[research] time_limit_s: expected `float` >= 0"),
        ("[research]\ncomand = 'x'\n", "in [research]: did you mean 'command'?"),
        ("[session]\nbudget_usd = nan\n", "[session] budget_usd: expected a finite number, got nan"),
        ("[envelope]\nusd = inf\n", "[envelope] usd: expected a finite number, got inf"),
        ("[envelope]\nwave_size = 2.5\n", "[envelope] wave_size: expected `int`, got `float`"),
        ("[envelope]\npatches = 'yes'\n", "[envelope] patches: expected `bool`, got `str`"),
        (
            "[agent]\neffort = 'hihg'\n",
            "[agent] effort: 'hihg' is not one of '', 'low', 'medium', 'high', 'xhigh', 'max'",
        ),
        ("[agent]\nnumeric = 'cmaes'\n", "[agent] numeric: 'cmaes' is not one of 'search', 'tpe'"),
        ("[agent]\nshare = 50\n", "[agent] share: expected `float` <= 1.0"),
        ("[agent]\ntries = 0\n", "[agent] tries: expected `int` >= 1"),
        ("[screen]\ntheme = 3\n", "[screen] theme: expected `str`, got `int`"),
        ("[usd_per_hour]\nH100 = 'dear'\n", "[usd_per_hour] an entry: expected `float`, got `str`"),
        ("session = 3\n", "session: expected `object`, got `int`"),
        ("[session\n", "is not TOML"),
        ("\x00", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(tmp_path: Path, toml: str, said: str) -> None:
    (tmp_path / "cockpit.toml").write_text(toml)
    with pytest.raises(SettingsError) as refused:
        read_settings(tmp_path)
    assert said in str(refused.value)
    assert str(tmp_path / "cockpit.toml") in str(refused.value)


def test_settings_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cockpit.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(tmp_path)


def test_without_a_file_the_settings_are_the_defaults(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == Settings()


def help_of(command: str) -> str:
    commands = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    text: str = commands.choices[command].format_help()
    return text


def test_the_help_of_new_begins_with_the_flags_of_a_first_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    first_screen = "\n".join(help_of("new").splitlines()[:24])
    flags = {"--repo", "--mode", "--hours", "--budget", "--agent", "--proposer", "--fleet", "--clusters", "--yes"}
    assert set(re.findall(r"--[a-z-]+", first_screen)) == flags | {"--help"}


def test_each_setting_of_a_repository_is_under_one_heading_of_new() -> None:
    grouped = [field for fields in HEADINGS.values() for field in fields]
    assert sorted(grouped) == sorted(row.field for row in rows())
