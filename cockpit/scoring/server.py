"""Load the model that a run has left and answer token rows with its logits: the variant's side of the scorer.

    python -I server.py MODEL        in a folder that holds the variant's code

It runs the variant's code, so it is confined, gets no text and no targets, and only its logits are used.
On standard input it gets requests, on standard output it writes answers:

    request   int32 rows, int32 tokens a row, then rows x tokens int32      answer   int32 1, int32 rows, int32 tokens,
                                                                            int32 vocabulary, then float32 logits
                                                            or, on an error   int32 0, int32 bytes, then UTF-8 text
"""

import ast
import contextlib
import os
import struct
import sys
import types
from collections.abc import Iterator
from typing import Any, BinaryIO

DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
LONGEST_ERROR = 500


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # text that the variant prints must not reach the feeder
    requests = os.fdopen(os.dup(0), "rb")
    sys.path.insert(0, os.getcwd())
    try:
        model = load(sys.argv[1])
        answers.write(struct.pack("<ii", 1, 0))
        answers.flush()
        while serve(model, requests, answers):
            pass
    except Exception as error:  # the code of a variant may raise anything
        text = f"{type(error).__name__}: {error}".encode()[:LONGEST_ERROR]
        answers.write(struct.pack("<ii", 0, len(text)) + text)
        answers.flush()


def load(path: str) -> Any:
    """Return the model that the run left: by the `load_model` of its train.py, or as `sitecustomize.py` saved it."""
    with open("train.py", encoding="utf-8") as file:
        script = ast.parse(file.read())
    if any(isinstance(node, ast.FunctionDef) and node.name == "load_model" for node in script.body):
        import train

        model = train.load_model(path)
        return model.eval() if hasattr(model, "eval") else model  # without dropout, as it is evaluated
    return Exported(path, script)


class Exported:
    """A model that was saved whole: its classes come from the script's definitions, its values from the run."""

    def __init__(self, path: str, script: ast.Module) -> None:
        import torch

        main = vars(define(script))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        saved = torch.load(path, map_location=device, weights_only=False)
        if "problem" in saved:
            raise RuntimeError(saved["problem"])
        main.update(saved["values"])
        self._model = saved["model"].to(device)
        self._autocast = torch.autocast(device, dtype=saved["autocast"], enabled=saved["autocast"] is not None)

    def parameters(self) -> Iterator[Any]:
        found: Iterator[Any] = self._model.parameters()
        return found

    def __call__(self, tokens: Any) -> Any:
        with self._autocast:
            return self._model(tokens)


def define(script: ast.Module) -> types.ModuleType:
    """Return a module with the definitions of a script, without running its loops and its calls.

    An assignment that fails is left out: it needs the text, which this process lacks, or an undefined value.
    """
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    for node in script.body:
        if isinstance(node, DEFINITIONS):
            with contextlib.suppress(Exception, SystemExit):
                exec(compile(ast.Module([node], []), os.path.abspath("train.py"), "exec"), vars(module))
    return module


def serve(model: Any, requests: BinaryIO, answers: BinaryIO) -> bool:
    """Answer one request. Returns False if there is none left."""
    import torch

    head = requests.read(8)
    if len(head) < 8:
        return False
    rows, length = struct.unpack("<ii", head)
    data = bytearray(requests.read(4 * rows * length))
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    tokens = torch.frombuffer(data, dtype=torch.int32).view(rows, length).to(device, torch.int64)
    with torch.no_grad():
        found = model(tokens)
        if len(found.shape) != 3 or found.is_complex():  # an answer of more dimensions would end within the next one
            kind = "complex" if found.is_complex() else f"of {len(found.shape)} dimensions"
            raise ValueError(f"its logits are {kind}, expected real ones of 3 dimensions: rows, tokens, vocabulary")
        logits = found.float().cpu().contiguous()
    answers.write(struct.pack("<iiii", 1, *logits.shape))
    answers.write(memoryview(logits.numpy()).cast("B"))
    answers.flush()
    return True


if __name__ == "__main__":
    main()
