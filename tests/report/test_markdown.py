"""Promises of the Markdown report: the facts of the page, small enough for a pull request, and no text is markup."""

import re

import msgspec
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cockpit.core.rescore import Rescore
from cockpit.read.scores import kept_experiments
from cockpit.report.contents import contents
from cockpit.report.markdown import DIFF_CHARACTERS, markdown, plain
from tests.report.test_html import BEGAN, HOSTILE, night
from tests.report.test_page_size import long_night
from tests.tui import stories

PULL_REQUEST_CHARACTERS = 65_536
READER = MarkdownIt("commonmark").enable("table")


def tokens(text: str) -> list[Token]:
    found = []
    for token in READER.parse(text):
        found.append(token)
        found += token.children or []
    return found


def kinds(text: str) -> set[str]:
    return {token.type for token in tokens(text)} - {"softbreak"}


def shown(text: str) -> str:
    return "".join(token.content for token in tokens(text) if token.type == "text")


def test_the_page_has_the_verdict_the_stack_the_story_the_best_and_the_unchecked() -> None:
    state = stories.night().state
    found = contents(state, state.now)
    text = markdown(state, state.now, "-DEPTH = 8\n+DEPTH = 9\n")
    assert found.verdict in shown(text)
    for name in kept_experiments(state):
        assert re.search(rf"^\| {name} \| .+ \| −0\.\d+ \| −0\.\d+ to [−+]0\.\d+ \|", text, re.MULTILINE)
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    told = ["What was kept", "The story", "Best configuration", "By proposer", "Reproduce it", "Not checked"]
    assert headings == told
    kept = ", ".join(kept_experiments(state))
    assert re.search(rf"^\| \w+ \| \d+ \| \d+\.\d\d \| \$.+ \| {kept} \|$", text, re.MULTILINE)
    assert "```diff\n-DEPTH = 8\n+DEPTH = 9\n```" in text
    assert "everything: the scores are simulated" in text


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE, "*a* **b** _c_ __d__ ~~e~~", "[x](http://a.b) ![y](z) <http://a.b>", "`code` ``` fence", "a | b",
        "# title", "- item", "1. item", "12) item", "> quote", "---", "&lt;b&gt; &amp;", "\\*a\\*", "a\n\n# b\n\n<b>",
        "_a", "<!-- x -->", "=====",
    ],
)  # fmt: skip
def test_text_is_never_markup(text: str) -> None:
    line = plain(text)
    assert kinds(f"| a |\n| --- |\n| {line} |") <= {"inline", "text", "text_special"} | kinds("| a |\n| --- |\n| b |")
    assert kinds(f"**{line}**") <= kinds("**a**") | {"text_special"}
    assert kinds(f"- {line}") <= kinds("- a") | {"text_special"}


def test_no_one_is_mentioned_and_no_issue_is_linked() -> None:
    assert "@" not in plain("ask @ada and @team/x") and "#" not in plain("see #12").replace("&#35;", "")
    assert "http://" not in plain("see http://a.b")


def test_names_of_constants_stay_readable() -> None:
    assert plain("TOTAL_BATCH_SIZE 524288 → 262144, ADAM_BETAS (0.8, 0.95)") == (
        "TOTAL_BATCH_SIZE 524288 → 262144, ADAM_BETAS (0.8, 0.95)"
    )


def test_a_number_is_not_the_start_of_a_list() -> None:
    assert (plain("1.010015"), plain("0.05 → 1.")) == ("1.010015", "0.05 → 1.")
    assert plain("1. item") == "1\\. item"


def test_a_diff_with_a_fence_stays_in_its_block() -> None:
    state = night()
    text = markdown(state, BEGAN + 1000, "+```\n+</details><script>\n+````\n")
    blocks = [token for token in tokens(text) if token.type == "fence" and token.info == "diff"]
    assert [block.content for block in blocks] == ["+```\n+</details><script>\n+````\n"]


def test_a_long_night_fits_into_a_pull_request() -> None:
    state = long_night()
    text = markdown(state, state.now, "+x = 1\n" * DIFF_CHARACTERS)
    assert len(text) < PULL_REQUEST_CHARACTERS
    assert "more characters are left out" in text


def test_a_session_without_a_result_has_a_text_too() -> None:
    state = stories.empty().state
    text = markdown(state, 1.0)
    assert "The unchanged train.py has no result yet" in text and "No change was kept." in text


def test_each_score_says_how_it_came_to_be() -> None:
    state = night(simulated=False)
    text = markdown(state, state.now)
    (kept,) = re.findall(r"^\| e0002 \|.*$", text, re.MULTILINE)
    assert "| self-scored, unconfined |" in kept
    assert "2 runs, self-scored, unconfined" in text
    for run in state.attempts.values():
        run.wall, run.rescore = "bubblewrap", Rescore(public_bpb=0.9, passed=("finite",))
    state.session = msgspec.structs.replace(state.session, rescore="keeps")
    text = markdown(state, state.now)
    assert "| rescored |" in text and "2 runs, rescored" in text and "self-scored" not in text
