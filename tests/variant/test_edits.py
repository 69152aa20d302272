import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.model import Edit
from cockpit.variant.edits import apply_edits
from cockpit.variant.errors import VariantError
from tests.variant.conftest import SCRIPT

letters = st.text("ab\n", max_size=12)


@given(letters, st.text("ab\n", min_size=1, max_size=4), letters)
def test_an_edit_applies_only_when_its_search_text_occurs_once(source: str, search: str, replace: str) -> None:
    places = [at for at in range(len(source)) if source.startswith(search, at)]
    if len(places) == 1:
        at = places[0]
        assert apply_edits(source, [Edit(search, replace)]) == source[:at] + replace + source[at + len(search) :]
    else:
        with pytest.raises(VariantError, match="does not occur" if not places else f"occurs {len(places)} times"):
            apply_edits(source, [Edit(search, replace)])


@given(st.text("ab\n", max_size=8), st.text("xy\n", max_size=4), st.text("ab\n", max_size=4))
def test_an_edit_written_with_lf_fits_a_file_with_crlf(before: str, middle: str, replace: str) -> None:
    search = f"<{middle}>"
    source = f"{before}{search}\n"
    after = apply_edits(source.replace("\n", "\r\n"), [Edit(search, replace)])
    assert after == f"{before}{replace}\n".replace("\n", "\r\n")


def test_edits_apply_in_order_each_to_the_result_of_the_last() -> None:
    edits = [Edit("HEAD_DIM = 128 ", "HEAD_DIM = 64 "), Edit("HEAD_DIM = 64 ", "HEAD_DIM = 32 ")]
    assert "HEAD_DIM = 32 " in apply_edits(SCRIPT, edits)


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        ("HEAD_DIM = 129", "most similar to 'HEAD_DIM = 129': line 34 is 'HEAD_DIM = 128          # target head"),
        ("    return [v/DEPTH for v in x]", "line 25 is 'return [v / DEPTH for v in x]'"),
        ("SHORT = 4\n\n    if os.environ.get('LONG')", "most similar to"),
        ('if os.environ.get("LONG"):\n  SHORT = 8', "lines 54 to 55 differ from it only in whitespace"),
        ("SHORT = 8\nHEAD_DIM = 128 ", "most similar to"),
        ("DEPTH", "occurs 6 times in train.py ('DEPTH', at lines 24, 25, 50, 51, 58, …)"),
        ("SHORT = 8\nASPECT_RATIO = 64 ", "most similar to 'ASPECT_RATIO = 64': line 33 is"),
        ('t_start = 0.0\nprint("---")', "its lines exist, but not consecutively"),
        ("zzzzqqqq", "no line of train.py is similar"),
        ("", "empty search text"),
        ("\n\n\n\n", "only whitespace"),
    ],
)
def test_an_edit_that_does_not_fit_names_itself_and_similar_lines(search: str, sentence: str) -> None:
    with pytest.raises(VariantError) as caught:
        apply_edits(SCRIPT, [Edit("SHORT = 4\n", "SHORT = 4\n"), Edit(search, "x")])
    assert str(caught.value).startswith("Edit 2 of 2 ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_control_characters_of_a_search_text_do_not_reach_the_message() -> None:
    with pytest.raises(VariantError) as caught:
        apply_edits(SCRIPT, [Edit("\x1b[31mred", "x")])
    assert str(caught.value).isprintable()
