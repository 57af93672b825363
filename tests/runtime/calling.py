"""What tests of the client share: a contract, and a client of it with everything it records."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import msgspec

from atoll import Fault, Response, delete, get, post
from atoll.model.contract import read_contract
from atoll.runtime.client import Destination, client_of
from atoll.runtime.context import Context, current
from atoll.runtime.resilience.policy import Policy
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder


class UnknownItem(Fault, status=404):
    """No item has this id."""

    item_id: str


class StockBroken(Fault, status=500):
    """The stock can't be counted."""


class Item(msgspec.Struct, frozen=True):
    id: str
    price: int = 0


class Items(Protocol):
    """A contract with an operation of every kind."""

    @get("/items/{item_id}", raises=[UnknownItem, StockBroken])
    async def item(self, item_id: str, *, limit: int = 5, tags: list[str] | None = None, new: bool = False) -> Item: ...

    @post("/items", status=201, raises=[UnknownItem])
    async def add(self, item: Item) -> Item: ...

    @post("/payments", idempotency_key=True)
    async def pay(self, item: Item) -> Item: ...

    @delete("/items/{item_id}/parts/{part}")
    async def remove(self, item_id: str, part: int) -> None: ...

    @get("/page")
    async def page(self) -> Response[Item]: ...

    @get("/feed", raises=[UnknownItem])
    def feed(self) -> AsyncIterator[Item]: ...


@dataclass
class Called:
    """A client, and what it recorded."""

    items: Items
    destination: Destination
    telemetry: Telemetry

    def metric(self, line: str) -> float:
        """The value of the metric line that begins so; 0 if there is none."""
        found = [text for text in self.telemetry.metrics.render().splitlines() if text.startswith(line)]
        return sum(float(text.rpartition(" ")[2]) for text in found)


@asynccontextmanager
async def calling(*addresses: str, policy: Policy | None = None) -> AsyncIterator[Called]:
    """A client of Items at the service "items" with these replicas."""
    telemetry = Telemetry(Recorder(), Metrics(), "tests", "tests-1")
    contract, problems = read_contract(Items)
    assert problems == []
    destination = Destination("items", addresses, telemetry, policy)
    await destination.open()
    try:
        yield Called(cast(Items, client_of(contract, destination)), destination, telemetry)
    finally:
        await destination.close()


@asynccontextmanager
async def within(context: Context) -> AsyncIterator[Context]:
    """As inside the handler of a request that came with this context."""
    token = current.set(context)
    try:
        yield context
    finally:
        current.reset(token)


def in_seconds(seconds: float) -> Context:
    """A context whose deadline is so far away."""
    return Context(1, deadline=time.monotonic() + seconds)
