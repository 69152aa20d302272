"""Numbers in words."""

import pytest

from cockpit.read.wording import with_minus


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("-0.0021 [-0.0030, -0.0011] against e0009", "−0.0021 [−0.0030, −0.0011] against e0009"),
        ("p 3e-05 after 3-5 fresh runs", "p 3e-05 after 3-5 fresh runs"),
        ("self-scored, --seed -.5", "self-scored, --seed −.5"),
    ],
)
def test_a_stored_sentence_has_a_real_minus_before_its_numbers_alone(stored: str, shown: str) -> None:
    assert with_minus(stored) == shown
