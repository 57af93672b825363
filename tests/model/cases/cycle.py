from typing import Protocol

from atoll import Service, System, get


class One(Protocol):
    @get("/one")
    async def one(self) -> str: ...


class Two(Protocol):
    @get("/two")
    async def two(self) -> str: ...


class OneService(One):
    def __init__(self, two: Two) -> None:
        self._two = two

    async def one(self) -> str:
        return await self._two.two()


class TwoService(Two):
    def __init__(self, one: One) -> None:
        self._one = one

    async def two(self) -> str:
        return await self._one.one()


shop = System("shop", services=[Service("one", OneService), Service("two", TwoService)])
