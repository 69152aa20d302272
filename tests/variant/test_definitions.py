"""The definition of a knob tells its choices, its limits and its help, in the libraries that define options."""

import pytest

from cockpit.core.knobs import KnobRange
from cockpit.core.model import Value
from cockpit.variant.knobs.constants import find_constants, set_constants
from cockpit.variant.knobs.knob_hints import limits, stated_ranges

FOUND = [
    ("class C:\n    betas: tuple = field(default_factory=lambda: (0.9, 0.95))\n", "C.betas", [0.9, 0.95], [0.9, 0.99]),
    ("class C:\n    o: O = field(default_factory=lambda: O(lr=0.1))\n", "C.o.lr", 0.1, 0.2),
    ("class C:\n    lr: float | None = 1\n", "C.lr", 1.0, 0.5),
    ("class C:\n    lr: Annotated[float, Field(ge=0)] = 1\n", "C.lr", 1.0, 0.5),
    ("CLIP = np.float32(1)\n", "CLIP", 1.0, 0.5),
    ("RATES = np.array([0.1, 0.2], dtype=np.float32)\n", "RATES", [0.1, 0.2], [0.3, 0.2]),
    ("STEPS = int(1e5)\n", "STEPS", 1e5, 2e5),
    ("RATE = float('1e-3')\n", "RATE", 1e-3, 2e-3),
    ("p.add_argument('--lr', type=float, default='1e-3')\n", "args.lr", 1e-3, 2e-3),
    ("p.add_argument('steps', nargs='?', type=int, default=5)\n", "args.steps", 5, 6),
    ("@click.argument('steps', default=100)\ndef main(steps): ...\n", "args.steps", 100, 50),
    ("flags.DEFINE_float(name='lr', default=1, help='rate')\n", "args.lr", 1.0, 0.5),
    ("H = int(os.environ['HEADS']) if 'HEADS' in os.environ else 8\n", "env.HEADS", 8, 4),
    ("layers = [{'units': 64}, {'units': 32}]\n", "layers.1.units", 32, 16),
]


@pytest.mark.parametrize(("source", "name", "value", "new"), FOUND)
def test_a_value_inside_its_definition_is_found_and_set(source: str, name: str, value: Value, new: Value) -> None:
    found = find_constants(source)
    assert repr(found[name]) == repr(value)
    after = set_constants(source, {name: new})
    assert find_constants(after) == {**found, name: new}
    assert len(after.splitlines()) == len(source.splitlines())


@pytest.mark.parametrize(
    "source",
    [
        "class Act(str, Enum):\n    GELU = 'gelu'\n    RELU = 'relu'\n",
        "class Size(enum.IntEnum):\n    SMALL = 1\n",
        "best = float('inf')\n",
        "name = float(text)\n",
        "x = torch.tensor([a, 1])\n",
        "tools = [{'name': 'read', 'required': ['path']}]\n",
    ],
)
def test_members_of_an_enumeration_and_computed_values_are_no_knobs(source: str) -> None:
    assert find_constants(source) == {}


CHOICES = KnobRange(choices=("gelu", "relu"))


@pytest.mark.parametrize(
    ("source", "name", "stated"),
    [
        ("@click.option('--act', type=click.Choice(['gelu', 'relu']), default='gelu')\n", "args.act", CHOICES),
        ("p.add_argument('--act', choices=('gelu', 'relu'), default='gelu')\n", "args.act", CHOICES),
        ("flags.DEFINE_enum('act', 'gelu', ['gelu', 'relu'], 'its help')\n", "args.act", CHOICES),
        ("class C:\n    act: Literal['gelu', 'relu'] = 'gelu'\n", "C.act", CHOICES),
        ("class C:\n    act: Optional[Literal['gelu', 'relu']] = 'gelu'\n", "C.act", CHOICES),
        ("p.add_argument('--lr', default=0.1, help='rate, 0.01 to 1')\n", "args.lr", KnobRange(low=0.01, high=1)),
        ("class C:\n    lr: float = Field(0.1, description='0.01 to 1')\n", "C.lr", KnobRange(low=0.01, high=1)),
        (
            "class C:\n    lr: float = field(default=0.1, metadata={'help': '0.01 to 1'})\n",
            "C.lr",
            KnobRange(low=0.01, high=1),
        ),
        ("class C:\n    lr: float = 0.1\n    '''between 0.01 and 1'''\n", "C.lr", KnobRange(low=0.01, high=1)),
        ("flags.DEFINE_float('lr', 0.1, 'rate, 0.01 to 1')\n", "args.lr", KnobRange(low=0.01, high=1)),
        ("flags.DEFINE_float('lr', 0.1, help='rate, 0.01 to 1')\n", "args.lr", KnobRange(low=0.01, high=1)),
    ],
)
def test_a_definition_states_the_values_to_search(source: str, name: str, stated: KnobRange) -> None:
    if source.startswith("@"):
        source += "def main(act): ...\n"
    assert stated_ranges(source, "train.py") == {name: stated}


@pytest.mark.parametrize(
    ("source", "name", "low", "high"),
    [
        ("class C:\n    depth: int = Field(8, ge=2, le=9)\n", "C.depth", 2, 9),
        ("class C:\n    depth: int = Field(default=8, gt=2, lt=9)\n", "C.depth", 3, 8),
        ("class C:\n    depth: Annotated[int, Field(ge=2, le=9)] = 8\n", "C.depth", 2, 9),
        ("class C:\n    depth: conint(ge=2, le=9) = 8\n", "C.depth", 2, 9),
        ("p.add_argument('--depth', type=int, default=8, choices=range(2, 10))\n", "args.depth", 2, 9),
        ("flags.DEFINE_integer('depth', 8, 'blocks', lower_bound=2, upper_bound=9)\n", "args.depth", 2, 9),
        ("def main(depth: int = typer.Option(8, min=2, max=9)): ...\n", "main.depth", 2, 9),
        ("@click.option('--depth', default=8, type=click.IntRange(2, 9))\ndef main(depth): ...\n", "args.depth", 2, 9),
    ],
)
def test_a_definition_limits_a_number(source: str, name: str, low: float, high: float) -> None:
    assert stated_ranges(source, "train.py") == {}
    assert limits(source, "train.py") == {name: (low, high)}


def test_limits_that_do_not_hold_the_value_are_none() -> None:
    assert limits("class C:\n    depth: int = Field(8, ge=9, le=12)\n", "train.py") == {}
    assert limits("class C:\n    depth: int = Field(8, ge=N)\n", "train.py") == {}
