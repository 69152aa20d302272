"""Find the knobs of a Python file: its named literals, by the syntax tree.

| in the file | name of the knob |
|---|---|
| `DEPTH = 8`, at the top or under `if __name__ == "__main__":` | `DEPTH` |
| `lr, depth = 0.1, 8` | `lr`, `depth` |
| `config.lr = 0.1`, `config["lr"] = 0.1`, set once in the file; `cfg`, `args` and such names too | `config.lr` |
| `config = {"lr": 0.1, "model": {"depth": 8}}`, `config = dict(lr=0.1)` | `config.lr`, `config.model.depth` |
| `optimizer = AdamW(parameters, lr=0.1)` | `optimizer.lr` |
| `model.fit(x, y, batch_size=32)` | `model.fit.batch_size` |
| `layers = [{"units": 64, "act": "relu"}]` | `layers.0.units` |
| `class Config:` with `depth: int = 8`, `field(default=8)`, or `field(default_factory=lambda: 8)` | `Config.depth` |
| `def main(lr=0.1):` | `main.lr` |
| `lr = 0.1` in `main`, where nothing else there binds `lr` | `main.lr` |
| `add_argument("--lr", default=0.1)`, `@click.option("--lr", default=0.1)`, `DEFINE_float("lr", 0.1, …)` | `args.lr` |
| `set_defaults(lr=0.1)` | `args.lr` |
| `os.environ.get("LR", "0.1")`, `os.getenv("LR", 0.1)`, `os.environ.get("LR") or 0.1` | `env.LR` |

A literal is a number, a text, true or false, arithmetic on them such as 2**19, a list of them, or one of these in a
conversion such as `np.float32(0.1)` or `torch.tensor([1.0, 2.0])`. The members of an enumeration are none. The last of
two assignments to a name counts. A name is left out where setting it would not survive: where it is also changed by
`+=`, under an `if`, in a loop, by an import, or by a function that declares it `global`; and where two literals would
have one name.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from cockpit.core.model import Value
from cockpit.variant.knobs.typed_values import storable
from cockpit.variant.syntax import Parsed, expression_of, is_docstring, literal_value, names_bound

MAX_NAME_CHARACTERS = 80
MAX_NAME_PARTS = 6
"""Dictionaries and functions nested more deeply hold no knobs."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SETTINGS_NAME = re.compile(
    r"(?:.*_)?(?:config|conf|cfg|args|hparams|hps?|params|options?|opts?|settings)|_?C", re.IGNORECASE
)
"""Names of objects whose attributes are settings."""
_HOLDS_DEFAULT = frozenset({"field", "Field", "Option", "Argument"})
"""Functions of dataclasses, pydantic and typer whose first argument, or `default`, is the value of a name."""
_CONVERTS = frozenset(
    {"int", "float", "float16", "float32", "float64", "int32", "int64", "bfloat16", "array", "asarray", "tensor"}
)
"""Functions whose one positional argument is the value, in another type."""
_HOLDS_SETTINGS = frozenset(
    {"dict", "Namespace", "SimpleNamespace", "ConfigDict", "EasyDict", "AttrDict", "DotDict", "Box", "Munch"}
)
"""Functions whose keywords, or dictionary, are settings of any type. Other calls give only their numbers."""


_TRAINS = frozenset({"compile", "fit", "learn", "minimize", "optimize", "partial_fit"})
"""Methods whose keywords are settings of a training, though their result is bound to no name."""
_ENUMERATIONS = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"})
_FLOATS = frozenset({"float", "confloat", "PositiveFloat", "NonNegativeFloat"})
"""Types of fields that hold a float."""


class Knob(NamedTuple):
    node: ast.expr
    value: Value
    is_quoted: bool = False
    """True for a number that stands in quotes: the default of an environment variable."""
    definitions: tuple[ast.expr, ...] = ()
    """The expressions around it that may state its range: its annotation, a call such as `Field(0.1, le=1)`, and the
    text below it."""


Knobs = dict[str, Knob]


class Found(NamedTuple):
    knobs: Knobs
    """By name, in the order of the text."""
    bound: dict[str, int]
    """The line on which each top-level name was last bound."""


_found: WeakKeyDictionary[ast.Module, Found] = WeakKeyDictionary()
"""The knobs of each syntax that is in use."""


def find_knobs(parsed: Parsed) -> Found:
    """Return the knobs of a file. They are shared and must not be changed."""
    found = _found.get(parsed.module)
    if found is None:
        found = _found[parsed.module] = _all_knobs(parsed)
    return found


def _all_knobs(parsed: Parsed) -> Found:
    times_set = Counter(path for node in parsed.nodes if (path := _set_path(node)))
    once = frozenset(path for path, count in times_set.items() if count == 1)
    groups, bound = _in_body(_module_statements(parsed.module), "", once)
    for name, line in parsed.global_lines.items():
        groups.pop(name, None)
        bound[name] = line
    pairs = [pair for group in groups.values() for pair in group.items()]
    pairs += _in_calls(parsed.nodes)
    times = Counter(name for name, _ in pairs)
    kept = [(name, knob) for name, knob in pairs if times[name] == 1 and len(name) <= MAX_NAME_CHARACTERS]
    return Found(dict(sorted(kept, key=lambda pair: (pair[1].node.lineno, pair[1].node.col_offset))), bound)


def _module_statements(module: ast.Module) -> Iterator[ast.stmt]:
    for statement in module.body:
        if isinstance(statement, ast.If) and not statement.orelse and _is_main_guard(statement.test):
            yield from statement.body
        else:
            yield statement


def _is_main_guard(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
    return False


def _set_path(node: ast.AST) -> str:
    """Return the dotted path of a setting that a node sets: `config.model.lr` or `config["lr"]`; empty for another."""
    if not isinstance(node, ast.Attribute | ast.Subscript) or isinstance(node.ctx, ast.Load):
        return ""
    parts: list[str] = []
    owner: ast.expr = node
    while True:
        match owner:
            case ast.Attribute(attr=name, value=value):
                parts, owner = [name, *parts], value
            case ast.Subscript(slice=ast.Constant(value=str(name)), value=value) if _KEY.fullmatch(name):
                parts, owner = [name, *parts], value
            case ast.Name(id=name) if _SETTINGS_NAME.fullmatch(name):
                return ".".join((name, *parts))
            case _:
                return ""


def _in_body(
    statements: Iterable[ast.stmt], prefix: str, once: frozenset[str]
) -> tuple[dict[str, Knobs], dict[str, int]]:
    """Return the knobs of a module's or a class's statements, by the name that holds them, and each name's line."""
    groups: dict[str, Knobs] = {}
    bound: dict[str, int] = {}
    described: tuple[str, ...] = ()
    """The names of the statement before."""
    for statement in statements:
        if isinstance(statement, ast.Expr) and is_docstring(statement):
            for knobs in filter(None, map(groups.get, described)):
                knobs.update({name: _with_definitions(knob, statement.value) for name, knob in knobs.items()})
        described = tuple(name for name, _ in names_bound(statement))
        for name in described:
            groups.pop(name, None)
            bound[name] = statement.lineno
        groups |= dict(_defined(statement, prefix, once))
    return groups, bound


def _defined(statement: ast.stmt, prefix: str, once: frozenset[str]) -> Iterator[tuple[str, Knobs]]:
    """Yield each name that a statement defines, with its knobs. `once` holds the settings that are set once."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=node) if _NAME.fullmatch(name):
            yield name, _in_value(prefix + name, node)
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=nodes)) if len(targets) == len(nodes):
            for target, node in zip(targets, nodes, strict=True):
                if isinstance(target, ast.Name) and _NAME.fullmatch(target.id):
                    yield target.id, _in_value(prefix + target.id, node)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() as target], value=node):
            if (path := _set_path(target)) in once:
                yield path, _in_value(prefix + path, node)
        case ast.AnnAssign(target=ast.Name(id=name), annotation=type_, value=ast.expr() as node) if _NAME.fullmatch(
            name
        ):
            found = _in_value(prefix + name, node, _is_float(type_))
            yield name, {each: _with_definitions(knob, type_) for each, knob in found.items()}
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)) as call) if (
            name in _TRAINS and _has_room(prefix)
        ):
            yield f"{owner}.{name}() {statement.lineno}", _in_value(f"{prefix}{owner}.{name}", call)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if _has_room(prefix):
            yield name, dict(_in_function(statement, prefix + name, once))
        case ast.ClassDef(name=name, bases=bases) if _has_room(prefix) and not _ENUMERATIONS.intersection(
            map(_called, bases)
        ):
            groups, _ = _in_body(statement.body, f"{prefix}{name}.", once)
            yield name, {name: knob for group in groups.values() for name, knob in group.items()}


def _has_room(prefix: str) -> bool:
    return prefix.count(".") < MAX_NAME_PARTS


def _is_float(annotation: ast.expr | None) -> bool:
    """Return True for `float`, `float | None`, `Optional[float]` and `Annotated[float, ...]`."""
    match annotation:
        case ast.Name(id=name):
            return name in _FLOATS
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return _is_float(left)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
            return _is_float(first)
        case ast.Subscript(value=ast.Name(id="Optional" | "Annotated"), slice=inner):
            return _is_float(inner)
        case ast.Call(func=func):
            return _called(func) in _FLOATS
    return False


def _with_definitions(knob: Knob, *definitions: ast.expr) -> Knob:
    return knob._replace(definitions=(*knob.definitions, *definitions))


def _in_value(name: str, node: ast.expr, is_float: bool = False) -> Knobs:
    """Return the knobs in the value of a name: itself, the entries of a dictionary, the keywords of a call."""
    if (knob := _knob(node, is_float)) is not None:
        return {name: knob}
    if not _has_room(name):
        return {}
    match node:
        case ast.Dict(keys=keys, values=values):
            found: Knobs = {}
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and _KEY.fullmatch(key.value):
                    found |= _in_value(f"{name}.{key.value}", value)
            return found
        case ast.List(elts=[ast.Dict(), *_] as entries):
            found = {}
            for number, entry in enumerate(entries):
                # Their texts are mostly messages and descriptions of tools.
                held = _in_value(f"{name}.{number}", entry)
                found |= {own: knob for own, knob in held.items() if not _holds_text(knob.value)}
            return found
        case ast.Call(func=func) if _called(func) in _HOLDS_DEFAULT:
            default = _argument(node, "default", 0)
            factory = _argument(node, "default_factory", -1)
            if default is None and isinstance(factory, ast.Lambda):
                default = factory.body
            found = {} if default is None else _in_value(name, default, is_float)
            return {each: _with_definitions(knob, node) for each, knob in found.items()}
        case ast.Call(func=func, args=[ast.Dict() as settings]) if _called(func) in _HOLDS_SETTINGS:
            return _in_value(name, settings)
        case ast.Call(func=func, keywords=keywords):
            holds_settings = _called(func) in _HOLDS_SETTINGS
            found = {}
            for keyword in keywords:
                if keyword.arg and (holds_settings or not isinstance(literal_value(keyword.value), str | bool)):
                    found |= _in_value(f"{name}.{keyword.arg}", keyword.value)
            return found
    return {}


def _holds_text(value: Value) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and any(isinstance(each, str) for each in value))


def _called(func: ast.expr) -> str:
    """Return the last part of a function's name."""
    match func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[position] if 0 <= position < len(call.args) else None


def _in_function(
    function: ast.FunctionDef | ast.AsyncFunctionDef, name: str, once: frozenset[str]
) -> Iterator[tuple[str, Knob]]:
    """Yield the knobs of a function: its defaults, the names that it binds once, and what it defines."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    with_default = [
        *zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]
    for parameter, default in with_default:
        if default is not None:
            type_ = parameter.annotation
            for own, knob in _in_value(f"{name}.{parameter.arg}", default, _is_float(type_)).items():
                yield own, knob if type_ is None else _with_definitions(knob, type_)
    times = Counter(bound for statement in function.body for bound, _ in names_bound(statement))
    times.update(parameter.arg for parameter in (*positional, *given.kwonlyargs))
    for node in ast.walk(function):
        if isinstance(node, ast.Global | ast.Nonlocal):
            times.update(dict.fromkeys(node.names, 2))
    for statement in function.body:
        for defined, knobs in _defined(statement, f"{name}.", once):
            if times[defined] == 1 or defined in once or isinstance(statement, ast.Expr):
                # An empty list in a function is about to be filled.
                yield from ((knob_name, knob) for knob_name, knob in knobs.items() if knob.value != [])


def _in_calls(nodes: Iterable[ast.AST]) -> list[tuple[str, Knob]]:
    """Return the defaults of command-line options and of environment variables."""
    found: list[tuple[str, Knob]] = []
    calls_as: dict[int, str] = {}
    """The type that the result of a call is turned into, by the call's id."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id="int" | "float" as type_), args=[argument]):
                # The variable may stand in an `or` within it.
                calls_as[id(argument)] = type_
            case ast.Call() if _called(node.func) in ("add_argument", "option"):
                found += _option(node)
            case ast.Call(func=ast.Attribute(attr="argument"), args=[_, *_]):
                found += _option(node)
            case ast.Call() if _called(node.func).startswith("DEFINE_"):
                found += _flag(node)
            case ast.Call(keywords=keywords) if _called(node.func) == "set_defaults":
                given = ((word.arg, _knob(word.value)) for word in keywords if word.arg)
                found += [(f"args.{name}", knob) for name, knob in given if knob]
            case (
                ast.Call(args=[variable, default])
                | ast.Call(args=[variable], keywords=[ast.keyword(arg="default", value=default)])
            ) if _reads_environment(node):
                found += _variable(variable, default, calls_as.get(id(node)) == "float")
            case ast.BoolOp(op=ast.Or(), values=[ast.Call(args=[variable]) as call, default]) if _reads_environment(
                call
            ):
                found += _variable(variable, default, calls_as.get(id(node)) == "float")
            case ast.IfExp(test=ast.Compare(left=variable, ops=[ast.In()], comparators=[owner]), orelse=default) if (
                _called(owner) == "environ"
            ):
                found += _variable(variable, default, False)
    return found


def _flag(call: ast.Call) -> list[tuple[str, Knob]]:
    """Return the default of a flag of absl: `DEFINE_float("lr", 0.1, "its help")`."""
    flag, default = _argument(call, "name", 0), _argument(call, "default", 1)
    name = None if flag is None else literal_value(flag)
    knob = None if default is None else _knob(default, _called(call.func) == "DEFINE_float")
    if not isinstance(name, str) or not _KEY.fullmatch(name) or knob is None:
        return []
    return [(f"args.{name}", _with_definitions(knob, call))]


def _option(call: ast.Call) -> list[tuple[str, Knob]]:
    """Return the default of an option of argparse or click, or of an argument of click."""
    flags = [flag for flag in map(literal_value, call.args) if isinstance(flag, str)]
    long = next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else "")
    own = _argument(call, "dest", -1)
    name = literal_value(own) if own is not None else long.lstrip("-").partition("/")[0].replace("-", "_")
    default, type_ = _argument(call, "default", -1), _argument(call, "type", -1)
    if default is None or not isinstance(name, str) or not _KEY.fullmatch(name):
        return []
    knob = _knob(default, _is_float(type_) or (isinstance(type_, ast.Call) and _called(type_.func) == "FloatRange"))
    if knob is None:
        return []
    if isinstance(type_, ast.Name) and type_.id in ("int", "float"):
        knob = _unquoted(knob, type_.id == "float")
    return [(f"args.{name}", _with_definitions(knob, call))]


def _reads_environment(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(attr="getenv") | ast.Name(id="getenv"):
            return True
        case ast.Attribute(attr="get" | "setdefault", value=owner):
            return _called(owner) == "environ"
    return False


def _variable(variable: ast.expr, default: ast.expr, is_float: bool) -> list[tuple[str, Knob]]:
    name, knob = literal_value(variable), _knob(default, is_float)
    if not isinstance(name, str) or not _KEY.fullmatch(name) or knob is None:
        return []
    return [(f"env.{name}", _unquoted(knob, is_float))]


def _unquoted(knob: Knob, is_float: bool) -> Knob:
    """Return the number that a text holds as the knob; a knob of another kind is returned as it is."""
    if not isinstance(knob.value, str) or not isinstance(knob.node, ast.Constant):
        return knob
    number = _number_in(knob.value)
    return knob if number is None else Knob(knob.node, float(number) if is_float else number, is_quoted=True)


def _number_in(text: str) -> int | float | None:
    """Return the number that a text holds and nothing else."""
    node = expression_of(text)
    number = storable(literal_value(node)) if node is not None else None
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None


def _knob(node: ast.expr, is_float: bool = False) -> Knob | None:
    match node:
        case ast.Call(func=func, args=[inner]) if _called(func) in _CONVERTS:
            as_float = is_float or _called(func).startswith(("float", "bfloat"))
            knob = _knob(inner, as_float)
            knob = _unquoted(knob, as_float) if knob else None
            return None if knob and isinstance(knob.value, str) else knob
    value = _value(node)
    if value is None:
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    return Knob(node, float(value) if is_float and whole and isinstance(value, int) else value)


def _value(node: ast.expr) -> Value | None:
    if not isinstance(node, ast.Tuple | ast.List):
        return storable(literal_value(node))
    elements = [storable(literal_value(element)) for element in node.elts]
    scalars = [element for element in elements if element is not None]
    return scalars if len(scalars) == len(elements) else None
