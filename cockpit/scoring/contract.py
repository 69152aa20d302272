"""Tell from the functions that a repository's files define if its runs can be scored outside them."""

import ast
from pathlib import Path

from cockpit.variant.syntax import tree_of

LEAVES_MODEL = {"save_model", "load_model"}
PREPARE_DEFINES = {"load_corpus", "make_dataloader", "sealed_shard"}
UPSTREAM_DEFINES = {"evaluate_bpb", "make_dataloader", "get_token_bytes", "Tokenizer"}
"""The names that a prepare.py in the shape of karpathy/autoresearch's defines."""


def can_rescore(repo: Path) -> bool:
    """Return True if a run leaves a model that can be loaded, and prepare.py provides the text to score it on."""
    return is_upstream(repo) or (leaves_model(repo) and _defines(repo / "prepare.py") >= PREPARE_DEFINES)


def leaves_model(repo: Path) -> bool:
    """Return True if train.py saves its model itself. `export/sitecustomize.py` saves the model of any other script."""
    return _defines(repo / "train.py") >= LEAVES_MODEL


def is_upstream(repo: Path) -> bool:
    """Return True if the repository is like karpathy/autoresearch: train.py passes its model to `evaluate_bpb`."""
    defined = _defines(repo / "prepare.py")
    if not defined >= UPSTREAM_DEFINES or defined & PREPARE_DEFINES == PREPARE_DEFINES:
        return False
    imports = (node for node in _module(repo / "train.py").body if isinstance(node, ast.ImportFrom))
    return any(node.module == "prepare" and "evaluate_bpb" in {one.name for one in node.names} for node in imports)


def _defines(path: Path) -> set[str]:
    """Return the names of the top-level functions and classes of a file."""
    return {node.name for node in _module(path).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _module(path: Path) -> ast.Module:
    """Return a file's syntax tree; an empty one where it cannot be read."""
    try:
        tree = tree_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        tree = None
    return tree or ast.Module([], [])
