"""How the score of a repository's runs can be computed outside them: by the functions that its files define."""

import ast
from pathlib import Path

TRAIN_DEFINES = {"save_model", "load_model"}
PREPARE_DEFINES = {"load_corpus", "make_dataloader", "sealed_shard"}


def can_rescore(repo: Path) -> bool:
    """Tell if train.py leaves a model that can be loaded, and prepare.py gives text to score it on."""
    return _defines(repo / "train.py") >= TRAIN_DEFINES and _defines(repo / "prepare.py") >= PREPARE_DEFINES


def _defines(path: Path) -> set[str]:
    """Return the names of the top-level functions of a file; none where it cannot be read."""
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return set()
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
