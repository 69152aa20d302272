"""Find how code takes a run's seed, and change code with a fixed seed so that it takes one.

Repeats of code with a fixed seed are equal, so they do not show how much runs differ.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from cockpit.variant.knobs.constants import is_seed_name
from cockpit.variant.knobs.python_knobs import find_knobs
from cockpit.variant.knobs.python_literals import replace_literals
from cockpit.variant.syntax import Parsed, literal_value, parse

VARIABLE = "SEED"
"""The environment variable that every run gets its seed in."""
_SEEDERS = re.compile(
    r"seed|manual_seed|manual_seed_all|PRNGKey|default_rng|RandomState|SeedSequence"
    r"|Random|PCG64(?:DXSM)?|MT19937|Philox|SFC64"
    r"|(?:set|setup|fix|init|same|enforce|reset)_(?:(?:all|random|global|torch)_)?seeds?"
    r"|seed_(?:everything|all|torch|random|rngs?)"
)
"""Functions that take a seed: of random, NumPy, PyTorch, Lightning, Transformers, TensorFlow and JAX, and those that
people write around them."""

_SEED_WORDS = frozenset({"seed", "random_state"})
"""Keywords that give a seed to an estimator, a trainer or an environment."""
_CHOOSES_DATA = re.compile(r"split|fold|shuffle|sample|resample|make_|load|fetch|subset", re.IGNORECASE)
"""Functions whose seed chooses the data: another seed would be another problem."""


_ORDERS = frozenset({"shuffle", "permutation", "permuted", "sample", "choice", "choices"})
"""Methods by which a generator that is made for one call chooses the data: `Random(42).shuffle(files)`."""


class Seeding(NamedTuple):
    variable: str = ""
    """The environment variable that the code reads its seed from; empty for none."""
    option: str = ""
    """The option of its command line that takes the seed; empty for none."""
    fixed: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    """The lines on which the code seeds itself with a number of its own, by file."""

    @property
    def is_fixed(self) -> bool:
        """Return True if every run of the code has the same seed."""
        return bool(self.fixed) and not self.variable and not self.option


def find_seeding(sources: Mapping[str, str]) -> Seeding:
    """Return how the Python files take their seed. Raises VariantError for one that does not compile."""
    parsed = {path: parse(source, path) for path, source in sources.items()}
    variables = [name for one in parsed.values() for name in _variables(one)]
    options = [option for one in parsed.values() for option in _options(one)]
    fixed = {path: tuple(sorted({node.lineno for node in _literals(one)})) for path, one in parsed.items()}
    preferred = VARIABLE if VARIABLE in variables else next(iter(variables), "")
    return Seeding(preferred, next(iter(options), ""), {path: lines for path, lines in fixed.items() if lines})


def with_seed(source: str) -> str:
    """Return the source with each number that it seeds itself with replaced by the run's seed, that number if none."""
    parsed = parse(source)
    imports_os = any(
        isinstance(node, ast.Import) and any(name.name == "os" and not name.asname for name in node.names)
        for node in parsed.module.body
    )
    module = "os" if imports_os else '__import__("os")'
    nodes = _literals(parsed)
    return replace_literals(
        source, [(node, f'int({module}.environ.get("{VARIABLE}") or {ast.unparse(node)})') for node in nodes]
    )


def _variables(parsed: Parsed) -> Iterator[str]:
    """Yield the variables of the environment that are read and that are named like a seed."""
    for node in parsed.nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr="getenv") | ast.Name(id="getenv"), args=[variable, *_]):
                pass
            case ast.Call(func=ast.Attribute(attr="get", value=owner), args=[variable, *_]) if _is_environment(owner):
                pass
            case ast.Subscript(value=owner, slice=variable) if _is_environment(owner):
                pass
            case _:
                continue
        name = literal_value(variable)
        if isinstance(name, str) and is_seed_name(name):
            yield name


def _is_environment(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr="environ") | ast.Name(id="environ"):
            return True
    return False


def _options(parsed: Parsed) -> Iterator[str]:
    for node in parsed.nodes:
        if isinstance(node, ast.Call) and _called(node) in ("add_argument", "option"):
            flags = [flag for flag in map(literal_value, node.args) if isinstance(flag, str) and flag.startswith("--")]
            yield from (flag for flag in flags if is_seed_name(flag.lstrip("-").replace("-", "_")))
        elif isinstance(node, ast.Call) and _called(node).startswith("DEFINE_") and node.args:
            name = literal_value(node.args[0])
            if isinstance(name, str) and is_seed_name(name):
                yield f"--{name}"


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _seed_given(call: ast.Call) -> ast.expr | None:
    """Return the seed that a call of a seeding function has; None for any other call."""
    is_jax_key = isinstance(call.func, ast.Attribute) and ast.unparse(call.func).endswith("jax.random.key")
    if not is_jax_key and not _SEEDERS.fullmatch(_called(call)):
        return None
    named = next((keyword.value for keyword in call.keywords if keyword.arg == "seed"), None)
    return call.args[0] if call.args else named


def _literals(parsed: Parsed) -> list[ast.expr]:
    """Return the integers that the code seeds itself with: in a call, or of a constant named as a seed. Each once."""
    return list({id(node): node for node in (*_in_calls(parsed), *_in_knobs(parsed))}.values())


def _in_calls(parsed: Parsed) -> Iterator[ast.expr]:
    ordering = {id(node.value) for node in parsed.nodes if isinstance(node, ast.Attribute) and node.attr in _ORDERS}
    for node in parsed.nodes:
        if not isinstance(node, ast.Call) or id(node) in ordering:
            continue
        if (seed := _seed_given(node)) is not None:
            yield from (
                child for child in ast.walk(seed) if isinstance(child, ast.Constant) and type(child.value) is int
            )
        elif not _CHOOSES_DATA.search(_called(node)):
            yield from (word.value for word in node.keywords if word.arg in _SEED_WORDS and _is_whole(word.value))


def _in_knobs(parsed: Parsed) -> Iterator[ast.expr]:
    for name, knob in find_knobs(parsed).knobs.items():
        is_read = name.startswith(("env.", "args.")) or name.endswith(".random_state")
        if not is_read and is_seed_name(name) and _is_whole(knob.node):
            yield knob.node


def _is_whole(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int
