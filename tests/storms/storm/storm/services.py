"""The tiers."""

from storm.contracts import Bottom, Catalog, Front, Middle


class BottomService(Bottom):
    async def pay(self) -> str:
        return "paid"


class MiddleService(Middle):
    def __init__(self, bottom: Bottom) -> None:
        self._bottom = bottom

    async def order(self) -> str:
        return await self._bottom.pay()


class CatalogService(Catalog):
    async def products(self) -> str:
        return "hats"


class FrontService(Front):
    def __init__(self, middle: Middle) -> None:
        self._middle = middle

    async def buy(self) -> str:
        return await self._middle.order()

    async def home(self) -> str:
        return "welcome"
