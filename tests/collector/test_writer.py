"""What is stored together, and what becomes of it when one of it can't be."""

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from atoll.collector import following
from atoll.collector.arrivals import Arrival, Position
from atoll.collector.limits import Limits
from atoll.collector.query import Query
from atoll.collector.refusals import Refused
from atoll.collector.spans import SpanReader
from atoll.collector.writer import Read, Writer
from tests.collector.sending import line

# SQLite has no number for it.
UNSTORABLE = line("bad")._replace(time=1 << 63)


def bodies(folder: Path) -> list[str]:
    return sorted(each.body for each in Query(folder).logs())


def read(arrival: Arrival) -> Read:
    return lambda _: arrival


async def test_of_what_shares_a_commit_what_can_not_be_stored_is_refused_alone(tmp_path: Path) -> None:
    arrivals = [
        Arrival(logs=[line("one")], hits=Counter(["text"])),
        Arrival(logs=[line("beside"), UNSTORABLE]),
        Arrival(logs=[line("two")]),
    ]
    together = threading.Event()

    def held_up(_: SpanReader) -> Arrival:
        assert together.wait(20)
        return Arrival()

    async with Writer(tmp_path, Limits()) as writer:
        # Given that they wait while the thread has something else to do
        jobs = [asyncio.ensure_future(writer.put(each, 1)) for each in (held_up, *map(read, arrivals))]
        await asyncio.sleep(0)
        together.set()
        _, *told = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(each) for each in told] == [type(None), Refused, type(None)]
    assert isinstance(told[1], Refused)
    assert told[1].status == 400
    assert bodies(tmp_path) == ["one", "two"]
    # And what the others reached is counted once
    assert {hit.name: hit.count for hit in Query(tmp_path).limits()} == {"text": 1}


async def test_a_follower_goes_on_behind_lines_that_can_never_be_stored(tmp_path: Path) -> None:
    async with Writer(tmp_path, Limits()) as writer:
        await following.store(writer, [UNSTORABLE, UNSTORABLE], Position("pod:web-1/web", "a", "2"), 10)
        assert await writer.positions() == {"pod:web-1/web": Position("pod:web-1/web", "a", "2")}
        await following.store(writer, [line("next")], Position("pod:web-1/web", "a", "3"), 10)
    assert bodies(tmp_path) == ["next"]
    assert {hit.name: hit.count for hit in Query(tmp_path).limits()} == {"lines": 2}


async def test_a_follower_waits_while_too_much_does(tmp_path: Path) -> None:
    async with Writer(tmp_path, Limits(waiting=100)) as writer:
        with writer.room() as take:
            take(95)
            with pytest.raises(Refused) as refused:
                await following.store(writer, [line("later")], Position("file:web", "a", "3"), 10)
        assert refused.value.is_passing
        await following.store(writer, [line("later")], Position("file:web", "a", "3"), 10)
    assert bodies(tmp_path) == ["later"]
    assert Query(tmp_path).limits() == []


async def test_whoever_is_told_what_was_stored_can_not_end_the_storing(tmp_path: Path) -> None:
    told: list[int] = []

    def fails(_: Sequence[Arrival]) -> None:
        raise ValueError

    async with Writer(tmp_path, Limits(), [fails, lambda arrivals: told.append(len(arrivals))]) as writer:
        for each in ("one", "two"):
            await writer.put(read(Arrival(logs=[line(each)])), 1)
    assert bodies(tmp_path) == ["one", "two"]
    assert told == [1, 1]
