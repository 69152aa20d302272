"""Find and set the knobs of a TOML file: its scalars and lists of scalars."""

from collections.abc import Iterator, Mapping
from typing import Any

from cockpit.core.model import Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.placed_values import KEY, MAX_NAME_CHARACTERS
from cockpit.variant.knobs.typed_values import is_same, storable


def find_knobs(source: str, path: str) -> dict[str, Value]:
    """Return the knobs of a TOML text. Raises VariantError where it is not TOML."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return dict(_walk("", tomlkit.parse(source).unwrap()))
    except (TOMLKitError, RecursionError, ValueError) as error:
        raise VariantError(f"{path} is not TOML: {error}.") from None


def set_knobs(source: str, values: Mapping[str, Value]) -> str:
    """Return the text with other values; comments and layout stay."""
    import tomlkit

    document = tomlkit.parse(source)
    for name, value in values.items():
        *parents, last = name.split(".")
        holder: Any = document
        for part in parents:
            holder = holder[int(part) if isinstance(holder, list) else part]
        if isinstance(value, list):
            _set_list(holder[last], value)
        else:
            holder[last] = value
    return tomlkit.dumps(document)


def _set_list(array: Any, value: list[Any]) -> None:
    """Change a list in place: elements that stay keep their lines and comments."""
    for at, (old, new) in enumerate(zip(array.unwrap(), value, strict=False)):
        if not is_same(old, new):
            array[at] = new
    while len(array) > len(value):
        array.pop()
    for new in value[len(array) :]:
        array.append(new)


def _walk(name: str, value: Any) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        for key, each in value.items():
            if KEY.fullmatch(key):
                yield from _walk(f"{name}.{key}" if name else key, each)
    elif isinstance(value, list):
        scalars = [storable(each) for each in value]
        if scalars and all(each is not None for each in scalars):
            yield from [(name, [each for each in scalars if each is not None])] if _fits(name) else []
        else:
            for number, each in enumerate(value):
                yield from _walk(f"{name}.{number}", each)
    elif (scalar := storable(value)) is not None and _fits(name):
        yield name, scalar


def _fits(name: str) -> bool:
    return len(name) <= MAX_NAME_CHARACTERS
