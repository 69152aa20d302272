"""Spell values as Python literals, and replace the values of some knobs in a text.

Only the bytes of a literal change. The standard library's tree has their exact place, at a tenth of the cost of a
concrete syntax tree of the whole file; the elements of a list on several lines, with their comments, are edited in one.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from cockpit.core.model import Value
from cockpit.core.python_syntax import literal
from cockpit.variant.knobs.python_knobs import Knob
from cockpit.variant.knobs.typed_values import is_same
from cockpit.variant.syntax import byte_offsets


def rewrite(source: str, changes: Iterable[tuple[Knob, Value]]) -> str:
    """Return `source` with other values of its knobs."""
    replaced = (each for knob, new in changes for each in _replaced(knob, new))
    return _with_bytes(
        source,
        ((node, partial(_resized, value=value) if text is None else _always(text)) for node, value, text in replaced),
    )


def replace_literals(source: str, texts: Iterable[tuple[ast.expr, str]]) -> str:
    """Return `source` with the text of some of its nodes replaced; a node that is named twice is replaced once."""
    return _with_bytes(source, ((node, _always(text)) for node, text in texts))


def _always(text: str) -> Callable[[str], str]:
    return lambda old: text


def _with_bytes(source: str, changes: Iterable[tuple[ast.expr, Callable[[str], str]]]) -> str:
    offset = byte_offsets(source)
    data = source.encode()
    found: dict[tuple[int, int], Callable[[str], str]] = {}
    for node, new_text in changes:
        end = offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        found[offset(node.lineno, node.col_offset), end] = new_text
    for (start, end), new_text in sorted(found.items(), key=lambda each: each[0], reverse=True):
        data = data[:start] + new_text(data[start:end].decode()).encode() + data[end:]
    return data.decode()


def _replaced(knob: Knob, value: Value) -> Iterator[tuple[ast.expr, Value, str | None]]:
    """Yield (node, its value, its text). The text is None for a list on several lines, of which elements are kept.

    Elements are replaced one by one where their number stays, so that comments between them stay too.
    """
    node, old = knob.node, knob.value
    elements = node.elts if isinstance(node, ast.Tuple | ast.List) else []
    if isinstance(value, list) and isinstance(old, list) and len(old) == len(value):
        for element, before, after in zip(elements, old, value, strict=True):
            if not is_same(before, after):
                yield element, after, spelled(after, element)
    elif isinstance(value, list) and value and old and node.end_lineno != node.lineno:
        yield node, value, None
    else:
        text = spelled(value, node)
        yield node, value, f'"{text}"' if knob.is_quoted else text


def spelled(value: Value, instead_of: ast.expr) -> str:
    """Spell a value in place of a literal: a list as a tuple where that is one."""
    if isinstance(value, list):
        elements = [spelled(element, instead_of) for element in value]
        if isinstance(instead_of, ast.Tuple):
            return f"({elements[0]},)" if len(elements) == 1 else f"({', '.join(elements)})"
        return f"[{', '.join(elements)}]"
    if isinstance(value, str):
        # A double quote at the end makes repr choose single quotes outside; then only those inside need a
        # backslash.
        return '"' + repr(value + '"')[1:-2].replace("\\'", "'").replace('"', '\\"') + '"'
    return int.__repr__(value) if type(value) is int else repr(value)


def _resized(text: str, value: Value) -> str:
    """Return the text of a list with other elements, more or fewer; those that stay keep their comments."""
    import libcst

    assert isinstance(value, list)
    tree = libcst.parse_expression(text)
    assert isinstance(tree, libcst.List | libcst.Tuple)
    nowhere = ast.Constant(value=None)
    new = [libcst.parse_expression(spelled(element, nowhere)) for element in value]
    old = list(tree.elements)
    kept = [
        element if _is_equal(element.value, made) else element.with_changes(value=made)
        for element, made in zip(old, new, strict=False)
    ]
    if len(new) > len(old):
        between = _uncommented(old[0].comma if len(old) > 1 else None)
        kept[-1] = kept[-1].with_changes(comma=between)
        kept += [libcst.Element(made, comma=between) for made in new[len(old) :]]
        kept[-1] = kept[-1].with_changes(comma=old[-1].comma)
    elif not isinstance(old[-1].comma, libcst.Comma) or len(new) < len(old):
        kept[-1] = kept[-1].with_changes(comma=old[-1].comma)
        if len(kept) == 1 and isinstance(tree, libcst.Tuple) and not isinstance(kept[0].comma, libcst.Comma):
            kept[0] = kept[0].with_changes(comma=libcst.Comma())
    return libcst.Module(body=[]).code_for_node(tree.with_changes(elements=kept))


def _uncommented(comma: Any) -> Any:
    """Return the comma between two elements with its line break, without the comment of the element before it."""
    import libcst

    if not isinstance(comma, libcst.Comma):
        return libcst.Comma(whitespace_after=libcst.SimpleWhitespace(" "))
    after = comma.whitespace_after
    if not isinstance(after, libcst.ParenthesizedWhitespace):
        return comma
    return comma.with_changes(
        whitespace_after=after.with_changes(first_line=libcst.TrailingWhitespace(), empty_lines=[])
    )


def _is_equal(old: object, new: object) -> bool:
    """Return True if two expressions are the same literal, whatever their spelling."""
    import libcst

    blank = libcst.Module(body=[])
    try:
        texts = [blank.code_for_node(each) for each in (old, new) if isinstance(each, libcst.CSTNode)]
        return len({repr(literal(text)) for text in texts}) == 1
    except ValueError:
        return False
