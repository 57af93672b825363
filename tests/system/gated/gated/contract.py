"""What the two services offer."""

from typing import Protocol

import msgspec

from atoll import get, post


class Who(msgspec.Struct):
    """The caller, as a handler sees it."""

    subject: str
    scopes: list[str]


class Order(msgspec.Struct):
    thing: str


class Desk(Protocol):
    """What the gateway exposes."""

    @get("/hours", public=True)
    async def hours(self) -> Who: ...

    @get("/me")
    async def me(self) -> Who: ...

    @post("/orders", scopes=["orders:write"])
    async def place(self, order: Order) -> Who: ...

    @post("/refunds", scopes=["orders:write", "refunds:write"])
    async def refund(self, order: Order) -> Who: ...

    @get("/booked")
    async def booked(self) -> Who: ...


class Ledger(Protocol):
    """What is called from inside alone."""

    @get("/book", scopes=["orders:write"])
    async def book(self) -> Who: ...
