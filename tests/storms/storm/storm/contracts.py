"""What the tiers offer."""

from typing import Protocol

from atoll import get


class Bottom(Protocol):
    @get("/pay")
    async def pay(self) -> str: ...


class Middle(Protocol):
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
