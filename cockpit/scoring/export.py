"""Runs a train.py that has no `save_model`, such as karpathy/autoresearch's, and leaves the model that it evaluates.

    python export.py train.py ARGUMENTS...

It runs in the process of the run, so it is believed in nothing: the scorer takes the model for what it answers. It
replaces `prepare.evaluate_bpb` by one that saves its model after the evaluation, with the plain values of the script:
`server.py` has the script's definitions, and not what it computed. A run without COCKPIT_MODEL is left alone.
"""

import builtins
import os
import sys
import types
from collections.abc import Callable
from typing import Any

PLAIN = (bool, int, float, str, bytes, type(None))
VALUES_AT_MOST = 1000


def main() -> None:
    script = os.path.abspath(sys.argv[1])
    sys.argv = [sys.argv[1], *sys.argv[2:]]
    sys.path[0] = os.path.dirname(script)
    path = os.environ.get("COCKPIT_MODEL")
    if path:
        import prepare

        prepare.evaluate_bpb = saving(prepare.evaluate_bpb, os.path.abspath(path))
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec")
    module = types.ModuleType("__main__")
    vars(module).update(__file__=script, __builtins__=builtins)
    sys.modules["__main__"] = module
    exec(code, vars(module))


def saving(evaluate: Callable[..., float], path: str) -> Callable[..., float]:
    """Return `evaluate`, which saves its model once it is done."""

    def evaluate_bpb(model: Any, *arguments: Any, **named: Any) -> float:
        score = evaluate(model, *arguments, **named)
        save(model, path)
        return score

    return evaluate_bpb


def save(model: Any, path: str) -> None:
    """Save a model as it is evaluated: with its mode and its autocast; or the reason why it cannot be saved."""
    import torch

    device = next((parameter.device.type for parameter in model.parameters()), "cpu")
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    script = vars(sys.modules["__main__"])
    values = {name: value for name, value in script.items() if is_plain(value) and not name.startswith("__")}
    model = getattr(model, "_orig_mod", model)  # without torch.compile
    try:
        torch.save({"model": model, "values": values, "autocast": precision}, path)
    except Exception as error:  # a lambda, a lock, a handle: anything may hang on a model
        torch.save({"problem": f"it cannot be saved: {error}"}, path)


def is_plain(value: object) -> bool:
    """Tell if a value is a number, a text, or a short collection of them."""
    if isinstance(value, dict):
        return len(value) < VALUES_AT_MOST and all(map(is_plain, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple | set):
        return len(value) < VALUES_AT_MOST and all(map(is_plain, value))
    return isinstance(value, PLAIN)


if __name__ == "__main__":
    main()
