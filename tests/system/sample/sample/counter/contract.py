"""What the counter offers."""

from typing import Protocol

import msgspec

from atoll import Topic, get, post


class Count(msgspec.Struct, frozen=True):
    name: str
    value: int


counted = Topic("counted", Count, key="name")


class Counter(Protocol):
    """Counts names."""

    @post("/counts/{name}", idempotency_key=True)
    async def count(self, name: str) -> Count: ...

    @get("/counts/{name}")
    async def value(self, name: str) -> Count: ...
