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
_NEW_EACH_TIME = re.compile(
    r"time\w*|now|today|perf_counter\w*|monotonic\w*|urandom|rand\w*|getrandbits|token_\w+|getpid|uuid\w*|entropy|hash"
)
"""Functions whose value is another one in each run."""


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


def seeding_knobs(source: str, path: str) -> set[str]:
    """Return the knobs that a Python file seeds itself with, whatever their names say. Raises VariantError for one that
    does not compile."""
    return _given_to_seeders(parse(source, path)) if path.endswith(".py") else set()


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
        source, [(node, _typed(node, f'{module}.environ.get("{VARIABLE}") or {ast.unparse(node)}')) for node in nodes]
    )


def _typed(literal: ast.expr, text: str) -> str:
    """Return an expression with the type of a literal."""
    is_text = isinstance(literal, ast.Constant) and isinstance(literal.value, str)
    return f"({text})" if is_text else f"int({text})"


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
            if isinstance(seed, ast.Constant) and isinstance(seed.value, str):
                yield seed
            elif _is_the_same_each_time(seed):
                yield from (child for child in ast.walk(seed) if isinstance(child, ast.expr) and _is_whole(child))
        elif not _CHOOSES_DATA.search(_called(node)):
            yield from (word.value for word in node.keywords if word.arg in _SEED_WORDS and _is_whole(word.value))


def _in_knobs(parsed: Parsed) -> Iterator[ast.expr]:
    calls = [node for node in parsed.nodes if isinstance(node, ast.Call) and _called(node) != "dict"]
    keywords = {id(word.value) for call in calls for word in call.keywords}
    given = _given_to_seeders(parsed)
    for name, knob in find_knobs(parsed).knobs.items():
        holder, _, last = name.rpartition(".")
        is_of_split = last == "random_state" and (id(knob.node) in keywords or _CHOOSES_DATA.search(holder))
        is_read = name.startswith(("env.", "args.")) or is_of_split
        if not is_read and (name in given or is_seed_name(name)) and _is_whole(knob.node):
            yield knob.node


def _given_to_seeders(parsed: Parsed) -> set[str]:
    """Return the whole-numbered knobs that the code names in the seed of a seeding function: `random.seed(RUN)`."""
    calls = (node for node in parsed.nodes if isinstance(node, ast.Call))
    seeds = [seed for call in calls if (seed := _seed_given(call)) is not None and _is_the_same_each_time(seed)]
    named = {node.id for seed in seeds for node in ast.walk(seed) if isinstance(node, ast.Name)}
    held = {node.attr for seed in seeds for node in ast.walk(seed) if isinstance(node, ast.Attribute)}
    knobs = find_knobs(parsed).knobs
    return {
        name
        for name, knob in knobs.items()
        if type(knob.value) is int and (name in named or ("." in name and name.rpartition(".")[2] in named | held))
    }


def _is_the_same_each_time(seed: ast.expr) -> bool:
    """Return True for a seed that no clock and no other chance enters."""
    called = (_called(node) for node in ast.walk(seed) if isinstance(node, ast.Call))
    return not any(map(_NEW_EACH_TIME.fullmatch, called))


def _is_whole(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int
