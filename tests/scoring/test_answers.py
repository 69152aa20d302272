"""Answers of a model to a question: real logits of three dimensions and any type, else one sentence."""

import io
import struct
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cockpit.scoring import server

REQUEST = struct.pack("<ii", 2, 3) + struct.pack("<6i", *range(6))


class Model:
    """A model whose logits a function makes."""

    def __init__(self, logits: Callable[[Any], Any]) -> None:
        self._logits = logits

    def parameters(self) -> Any:
        return iter(())

    def __call__(self, tokens: Any) -> Any:
        return self._logits(torch.nn.functional.one_hot(tokens, 7).float())


def served(logits: Callable[[Any], Any]) -> bytes:
    answers = io.BytesIO()
    assert server.serve(Model(logits), io.BytesIO(REQUEST), answers)
    return answers.getvalue()


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float16, torch.bfloat16, torch.float64, torch.bool])
def test_logits_of_another_type_are_sent_as_floats(dtype: torch.dtype) -> None:
    data = served(lambda x: x.to(dtype))
    assert struct.unpack("<iiii", data[:16]) == (1, 2, 3, 7)
    logits = torch.frombuffer(bytearray(data[16:]), dtype=torch.float32).view(2, 3, 7)
    assert logits.argmax(2).flatten().tolist() == list(range(6))


@pytest.mark.parametrize(
    ("logits", "words"),
    [
        (lambda x: x[0], "of 2 dimensions"),
        (lambda x: x.sum(), "of 0 dimensions"),
        (lambda x: torch.stack((x, x), 3), "of 4 dimensions"),
        (lambda x: x[..., None], "of 4 dimensions"),
        (lambda x: x.to(torch.complex64), "complex"),
    ],
    ids=["one row", "a number", "two answers", "one dimension more", "complex"],
)
def test_logits_of_another_shape_are_one_sentence(logits: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"its logits are {words}, expected real ones of 3 dimensions"):
        served(logits)


@pytest.mark.parametrize(
    "logits", [lambda x: (x, None), lambda x: None, lambda x: x.tolist()], ids=["a pair", "none", "a list"]
)
def test_an_answer_that_is_no_tensor_is_an_error_of_the_model(logits: Callable[[Any], Any]) -> None:
    with pytest.raises(AttributeError):
        served(logits)
