"""What a basket comes to."""

import asyncio

from msgspec import Struct
from msgspec.structs import replace

from ..cart.contract import Amount, Cart, Item
from ..catalog.contract import Catalog, Product, UnknownProduct
from ..money import Money, total
from ..shipping.contract import Quote, Shipping
from .prices import Prices
from .sessions import Visit
from .view import or_none


class PricedLine(Struct, frozen=True):
    """An item of a basket as the page shows it."""

    product: Product
    quantity: int

    @property
    def price(self) -> Money:
        return self.product.price * self.quantity


class Reckoning(Struct, frozen=True):
    """A basket with its prices, all in one currency. parcel: None for an empty basket, or if nobody can tell."""

    lines: list[PricedLine]
    parcel: Quote | None

    @property
    def things(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def goods(self) -> Money:
        return total(line.price for line in self.lines)

    @property
    def to_pay(self) -> Money | None:
        """What checkout will charge; None if it can't be told yet."""
        return self.goods + self.parcel.cost if self.parcel else None


class Reckoner:
    """Reckons as checkout does: each price is converted, then multiplied, then all are added up."""

    def __init__(self, catalog: Catalog, cart: Cart, shipping: Shipping, prices: Prices) -> None:
        self._catalog = catalog
        self._cart = cart
        self._shipping = shipping
        self.prices = prices

    async def reckon(self, visit: Visit) -> Reckoning | None:
        """The visitor's basket; None if cart or catalog do not answer in time."""
        lines = await or_none(self._lines(visit))
        if lines is None:
            return None
        things = sum(line.quantity for line in lines)
        quote = await or_none(self._shipping.quote(things)) if things else None
        wanted = [line.product.price for line in lines] + ([quote.cost] if quote else [])
        amounts = await self.prices.amounts(wanted, visit.currency)
        # With a quote there is one amount more than there are lines: its cost.
        priced = [
            PricedLine(replace(line.product, price=price), line.quantity)
            for line, price in zip(lines, amounts, strict=False)
        ]
        return Reckoning(priced, replace(quote, cost=amounts[-1]) if quote else None)

    async def _lines(self, visit: Visit) -> list[PricedLine]:
        """The basket with its products, each asked for at the same time."""
        if not visit.basket_id:
            return []
        basket = await self._cart.basket(visit.basket_id)
        lines = await asyncio.gather(*(self._line(basket.id, item) for item in basket.items))
        return [line for line in lines if line]

    async def _line(self, basket_id: str, item: Item) -> PricedLine | None:
        try:
            return PricedLine(await self._catalog.product(item.product_id), item.quantity)
        except UnknownProduct:  # no longer on sale: take it out, or the till would refuse the whole basket
            await self._cart.change(basket_id, item.product_id, Amount(0))
            return None
