"""Where something stands in the user's source."""

import ast
import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll.model.source import place_of


def make() -> type:
    class Item:  # inner
        def one(self) -> None: ...

    return Item


class Item:  # outer
    size = 3

    def two(self) -> None: ...


class Bare:  # bare
    """Nothing in it."""


def same(cls: type) -> type:
    return cls


@same
class Marked:  # marked
    def three(self) -> None: ...


@pytest.mark.parametrize(
    ("cls", "mark"),
    [(make(), "inner"), (Item, "outer"), (Bare, "bare"), (Marked, "marked")],
    ids=["in_a_function", "of_the_same_name", "without_methods", "decorated"],
)
def test_a_class_stands_where_its_heading_is(cls: type, mark: str) -> None:
    lines = Path(__file__).read_text().splitlines()
    [line] = [number for number, text in enumerate(lines, 1) if text.endswith(f":  # {mark}")]
    assert place_of(cls) == f"{__file__}:{line}"


def test_a_function_stands_where_it_begins() -> None:
    assert place_of(make) == f"{__file__}:{make.__code__.co_firstlineno}"


def test_what_has_no_source_stands_nowhere() -> None:
    assert place_of(int) == place_of(type("Made", (), {})) == place_of(3) == place_of(len) == ""


class Parsing:
    """Garbage that parses Python when it is collected, as the log of a task's lost exception does."""

    going = True

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        if Parsing.going:
            Parsing()
            ast.parse("a + (b * c)")


@contextlib.contextmanager
def garbage() -> Iterator[None]:
    """There is some at any moment, and it is collected at the next."""
    before = gc.get_threshold()
    gc.set_threshold(10)
    Parsing.going = True
    Parsing()
    try:
        yield
    finally:
        Parsing.going = False
        gc.set_threshold(*before)


def test_garbage_that_parses_when_it_is_collected_hinders_nothing() -> None:
    with garbage():
        assert place_of(Item)
