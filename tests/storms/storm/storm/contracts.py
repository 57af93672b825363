"""What the tiers offer, and what the bottom one needs."""

from typing import Protocol

from atoll import get


class Bank(Protocol):
    @get("/charge")
    async def charge(self) -> str: ...


class Payment(Protocol):
    @get("/pay")
    async def pay(self) -> str: ...


class Checkout(Protocol):
    @get("/order")
    async def order(self) -> str: ...


class Front(Protocol):
    @get("/buy")
    async def buy(self) -> str: ...

    @get("/home")
    async def home(self) -> str: ...


class Catalog(Protocol):
    @get("/products")
    async def products(self) -> str: ...
