"""The client and our own server, over TCP and over a Unix socket."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, cast

import pytest

from atoll import DeadlineExceeded, Refused, Response, ServerFailed, get
from atoll.model.contract import read_contract
from atoll.runtime.client import Destination, client_of
from atoll.runtime.context import current
from atoll.runtime.resilience.policy import Policy
from tests.runtime.calling import Called, Item, Items, StockBroken, UnknownItem, calling
from tests.runtime.raw import Served, served
from tests.waiting import eventually


class Stock(Items):
    """Answers every operation, and remembers what it did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.left: list[float] = []
        self.baggage = ""
        self.ended = asyncio.Event()

    async def item(self, item_id: str, *, limit: int = 5, tags: list[str] | None = None, new: bool = False) -> Item:
        self.done.append(f"item {item_id} {limit} {tags} {new}")
        context = current.get()
        assert context is not None
        self.left.append(context.left())
        self.baggage = context.baggage
        if item_id == "missing":
            raise UnknownItem(item_id=item_id)
        if item_id == "broken":
            raise StockBroken
        if item_id == "bug":
            raise RuntimeError("not for the caller's eyes")
        if item_id == "slow":
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.set()
        return Item(item_id, limit)

    async def add(self, item: Item) -> Item:
        self.done.append(f"add {item.id}")
        return item

    async def pay(self, item: Item) -> Item:
        return item

    async def remove(self, item_id: str, part: int) -> None:
        self.done.append(f"remove {item_id} {part}")

    async def page(self) -> Response[Item]:
        return Response(Item("page"), {"x-more": "no"})

    async def feed(self) -> AsyncIterator[Item]:
        for number in range(3):
            yield Item(str(number))
        raise UnknownItem(item_id="3")


class Front(Protocol):
    @get("/front/{item_id}")
    async def front(self, item_id: str) -> Item: ...


class FrontService(Front):
    """A service that calls another and lets what fails fail."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self.calls = 0

    async def front(self, item_id: str) -> Item:
        self.calls += 1
        return await self._items.item(item_id)


@asynccontextmanager
async def shop(
    address: str = "127.0.0.1:0", policy: Policy | None = None
) -> AsyncIterator[tuple[Stock, Called, Served]]:
    stock = Stock()
    async with served(stock, address=address) as server:
        reached = address if address.startswith("unix:") else f"http://{server.address}"
        async with calling(reached, policy=policy) as called:
            yield stock, called, server


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path_factory.mktemp('s')}/s"


async def test_arguments_and_results_arrive_as_they_were(address: str) -> None:
    async with shop(address) as (stock, called, _):
        assert await called.items.item("ä/ö &?%", limit=3, tags=["a b", "c&d"], new=True) == Item("ä/ö &?%", 3)
        assert await called.items.add(Item("hat", 7)) == Item("hat", 7)
        assert await called.items.remove("hat", 3) is None  # type: ignore[func-returns-value]
        page = await called.items.page()
        assert (page.body, page.headers["x-more"]) == (Item("page"), "no")
        assert stock.done == ["item ä/ö &?% 3 ['a b', 'c&d'] True", "add hat", "remove hat 3"]


async def test_faults_are_raised_as_what_they_are_and_bugs_are_not_told(address: str) -> None:
    async with shop(address) as (_, called, _):
        with pytest.raises(UnknownItem) as caught:
            await called.items.item("missing")
        assert caught.value.item_id == "missing"
        with pytest.raises(StockBroken):
            await called.items.item("broken")
        with pytest.raises(ServerFailed) as failed:
            await called.items.item("bug")
        assert failed.value.status == 500
        assert "eyes" not in str(failed.value)


async def test_a_stream_brings_its_elements_and_then_its_fault(address: str) -> None:
    async with shop(address) as (_, called, _):
        feed = cast(AsyncGenerator[Item, None], called.items.feed())
        assert [(await anext(feed)).id for _ in range(3)] == ["0", "1", "2"]
        with pytest.raises(UnknownItem):
            await anext(feed)


async def test_the_deadline_is_the_same_on_both_sides_and_ends_the_handler() -> None:
    async with shop(policy=Policy(deadline=1.0)) as (stock, called, _):
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await called.items.item("slow")
        assert 0.99 <= time.monotonic() - started < 2.5  # by itself it would take three seconds
        assert 0.5 < stock.left[0] <= 1.0
        await eventually(stock.ended.is_set)


async def test_a_caller_that_is_cancelled_cancels_the_handler() -> None:
    async with shop() as (stock, called, _):
        task = asyncio.ensure_future(called.items.item("slow"))
        await eventually(lambda: bool(stock.done))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(stock.ended.is_set)


async def test_the_spans_of_both_sides_hang_together() -> None:
    async with shop() as (_, called, server):
        await called.items.item("hat")
        (client,) = called.telemetry.recorder.take()
        (handler,) = server.telemetry.recorder.take()
        assert handler.trace_id == client.trace_id
        assert handler.parent_id == client.span_id
        assert client.start < handler.start < handler.end < client.end


async def test_a_call_below_inherits_what_is_left_of_the_deadline_and_is_retried_only_there() -> None:
    async with shop() as (stock, below, _):
        front = FrontService(below.items)
        async with served(front) as server:
            contract, _ = read_contract(Front)
            destination = Destination("front", [f"http://{server.address}"], below.telemetry, Policy(deadline=1.0))
            await destination.open()
            client = cast(Front, client_of(contract, destination))
            assert await client.front("hat") == Item("hat", 5)
            assert stock.left[0] <= 1.0
            await below.destination.close()
            with pytest.raises(ServerFailed) as caught:
                await client.front("bug")
            assert caught.value.status == 502
            assert front.calls == 2
            await destination.close()


async def test_more_calls_than_the_server_takes_are_refused_without_effect() -> None:
    stock = Stock()
    async with served(stock, concurrency=1) as server, calling(f"http://{server.address}") as called:
        slow = asyncio.ensure_future(called.items.item("slow"))
        await eventually(lambda: bool(stock.done))
        with pytest.raises(Refused) as caught:
            await called.items.add(Item("hat"))
        assert not caught.value.may_have_happened
        assert stock.done == ["item slow 5 None False"]
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)


async def test_a_server_that_stops_and_starts_costs_its_callers_nothing() -> None:
    stock = Stock()
    async with served(stock) as first:
        address = first.address
        async with calling(f"http://{address}") as called:
            await asyncio.gather(*(called.items.item(str(number)) for number in range(10)))
            await first.server.stop(1.0)
            first.listener.abort()
            async with served(stock, address=address):
                answers = await asyncio.gather(*(called.items.item(str(number)) for number in range(10)))
                assert [answer.id for answer in answers] == [str(number) for number in range(10)]
