"""Leaves the model that a train.py without `save_model` evaluates, such as karpathy/autoresearch's.

Its folder is on the PYTHONPATH of the run, so Python runs it as it starts, whatever starts the script: `uv run`, a
shell, a launcher. It is in the process of the run, so it is believed in nothing: the scorer takes the model for what
it answers. Once `prepare` is imported, its `evaluate_bpb` saves the model after the evaluation, with the plain values
of the script: `server.py` has the script's definitions, and not what it computed.
"""

from __future__ import annotations  # the run's Python may be an old one

import importlib.machinery
import importlib.util
import os
import sys
from typing import Any, Callable  # noqa: UP035  # quicker than collections.abc, in every process of a run

PLAIN = (bool, int, float, str, bytes, type(None))
VALUES_AT_MOST = 1000


class PrepareFinder:
    """Finds `prepare` as Python does, and lets its `evaluate_bpb` save the model to `path`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name != "prepare":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            if hasattr(module, "evaluate_bpb"):
                module.evaluate_bpb = saving(module.evaluate_bpb, self._path)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


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
    compiled = {module: vars(module)["forward"] for module in model.modules() if "forward" in vars(module)}
    try:
        for module, forward in compiled.items():
            if hasattr(forward, "_torchdynamo_orig_callable"):
                del module.forward  # its class has it, uncompiled
        torch.save({"model": model, "values": values, "autocast": precision}, path)
    except Exception as error:  # a lambda, a lock, a handle: anything may hang on a model
        torch.save({"problem": f"it cannot be saved: {error}"}, path)
    finally:
        for module, forward in compiled.items():
            module.forward = forward


def is_plain(value: object) -> bool:
    """Return True if a value is a number, a text, or a short collection of them."""
    if isinstance(value, dict):
        return len(value) < VALUES_AT_MOST and all(map(is_plain, (*value.keys(), *value.values())))
    if isinstance(value, (list, tuple, set)):
        return len(value) < VALUES_AT_MOST and all(map(is_plain, value))
    return isinstance(value, PLAIN)


def run_hidden() -> None:
    """Run the environment's own `sitecustomize`, which this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [folder for folder in sys.path if os.path.abspath(folder) != here]
    spec = importlib.machinery.PathFinder.find_spec(__name__, others)
    if spec is not None and spec.loader is not None:
        sys.modules[__name__] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    if os.environ.get("COCKPIT_MODEL"):
        sys.meta_path.insert(0, PrepareFinder(os.path.abspath(os.environ["COCKPIT_MODEL"])))
    run_hidden()
