"""What open pages are sent."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import pytest
from markupsafe import Markup

from atoll.collector.arrivals import Arrival
from atoll.collector.query import LogFilter, Query
from atoll.dashboard.live import KEPT, RESTS, STALE, Live, Shared
from atoll.dashboard.pages.logs import tail
from atoll.dashboard.site import Site, templates
from atoll.dashboard.sources import Sources
from atoll.model.launch import Dashboard
from tests.collector.sending import line, stored


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Pieces:
    """Makes pieces, each another, and takes so many seconds of the clock."""

    def __init__(self, clock: Clock, takes: float = 0.0) -> None:
        self._clock, self.takes = clock, takes
        self.made: list[str] = []

    def __call__(self, key: str) -> Markup:
        self._clock.now += self.takes
        self.made.append(key)
        return Markup(f"{key} {len(self.made)}")


def test_who_looks_at_the_same_is_given_the_same_until_its_time_is_over() -> None:
    clock = Clock()
    shared = Shared(Pieces(clock), 1.0, clock)
    assert [shared("a"), shared("b"), shared("a")] == ["a 1", "b 2", "a 1"]
    clock.now += 1.0
    assert [shared("a"), shared("a")] == ["a 3", "a 3"]


def test_what_takes_long_is_made_less_often() -> None:
    clock = Clock()
    pieces = Pieces(clock, takes=2.0)
    shared = Shared(pieces, 1.0, clock)
    assert shared("a") == "a 1"
    clock.now += 2.0 * RESTS - 0.1
    assert shared("a") == "a 1"
    clock.now += 0.2
    assert shared("a") == "a 2"


def test_while_one_makes_it_anew_others_are_given_the_last_one_unless_it_is_old() -> None:
    clock, begun, may_end = Clock(), threading.Event(), threading.Event()
    may_end.set()
    made = 0

    def make(key: str) -> Markup:
        nonlocal made
        made += 1
        begun.set()
        assert may_end.wait(10)
        return Markup(f"{key} {made}")

    shared = Shared(make, 1.0, clock)
    assert shared("a") == "a 1"
    clock.now += 2.0
    begun.clear()
    may_end.clear()
    with ThreadPoolExecutor(64) as threads:
        first = threads.submit(shared, "a")
        assert begun.wait(10)
        assert {threads.submit(shared, "a").result(10) for _ in range(20)} == {"a 1"}
        clock.now += STALE
        waiting = [threads.submit(shared, "a") for _ in range(20)]
        may_end.set()
        assert {first.result(10), *(each.result(10) for each in waiting)} == {"a 2"}


def test_what_could_not_be_made_is_tried_again_by_the_next_one() -> None:
    answers = iter([None, Markup("whole")])

    def make(_: str) -> Markup:
        found = next(answers)
        if found is None:
            raise LookupError
        return found

    shared = Shared(make, 1.0)
    with pytest.raises(LookupError):
        shared("a")
    assert shared("a") == "whole"


def test_no_more_pieces_are_kept_than_may_be() -> None:
    clock = Clock()
    pieces = Pieces(clock)
    shared = Shared(pieces, 1.0, clock)
    for number in range(KEPT + 1):
        shared(str(number))
    assert shared(str(KEPT)) == f"{KEPT} {KEPT + 1}"
    assert shared("0") == f"0 {KEPT + 2}"


async def test_a_page_of_lines_goes_on_when_the_store_begins_anew(tmp_path: Path) -> None:
    # Given a page that has seen more lines than there are, for all of them were too old, and then came another
    site = Site(Sources("shop", Query(tmp_path), Dashboard(listen="127.0.0.1:0")), Live(), templates())
    stored(tmp_path, Arrival(logs=[line("the first of the others")]))
    async with asyncio.timeout(10), aclosing(tail(site, LogFilter(), after=1_000)) as pieces:
        assert "the first of the others" in await anext(pieces)
        # Then it goes on from there
        stored(tmp_path, Arrival(logs=[line("the second")]))
        assert "the second" in await anext(pieces)
