"""A planned wave knows code that was tried, by its constants and by its edits."""

from cockpit.core.model import Change, Edit
from cockpit.decide.known_code import has_known_code
from tests.decide.world import World

FIRST, SECOND = Edit("relu", "gelu"), Edit("adam", "lion")


def undone(edit: Edit) -> Edit:
    return Edit(edit.replace, edit.search, edit.path)


def with_edit(world: World, edit: Edit, base: str) -> str:
    (name,) = world.propose({}, base=base)
    world.state.experiments[name].change = Change({}, (edit,))
    return name


def test_an_edit_tried_on_the_incumbent_is_known_there() -> None:
    world = World(lambda constants, attempt: 2.0)
    world.run(0.2)
    assert not has_known_code(world.state, Change({}, (FIRST,)))
    with_edit(world, FIRST, world.state.incumbent)
    assert has_known_code(world.state, Change({}, (FIRST,)))
    assert not has_known_code(world.state, Change({}, (SECOND,)))
    assert not has_known_code(world.state, Change({"LR": 2}, (FIRST,)))


def test_an_incumbent_without_its_first_edit_is_the_second_edit_alone() -> None:
    world = World(lambda constants, attempt: 2.0)
    world.run(0.2)
    baseline = world.state.incumbent
    world.state.incumbent = with_edit(world, SECOND, with_edit(world, FIRST, baseline))
    assert not has_known_code(world.state, Change({}, (undone(FIRST),)))
    with_edit(world, SECOND, baseline)
    assert has_known_code(world.state, Change({}, (undone(FIRST),)))
    assert has_known_code(world.state, Change({}, (undone(FIRST), undone(SECOND)))), "it is the baseline's code"
