"""Prices in the visitor's currency."""

from collections.abc import Sequence

from msgspec.structs import replace

from ..catalog.contract import Product
from ..currency.contract import Conversion, Currencies, UnknownCurrency
from ..money import Money
from .view import or_none


class Prices:
    """Converts what stands on a page in one question, so that a page has one currency.

    Where nobody can convert, the amounts stay as they are: the boutique sells in its own currency then.
    """

    def __init__(self, currencies: Currencies) -> None:
        self._currencies = currencies

    async def products(self, products: Sequence[Product], currency: str) -> list[Product]:
        """The products with their prices in this currency."""
        prices = await self.amounts([product.price for product in products], currency)
        return [replace(product, price=price) for product, price in zip(products, prices, strict=True)]

    async def amounts(self, amounts: list[Money], currency: str) -> list[Money]:
        """The amounts in this currency."""
        if all(amount.currency == currency for amount in amounts):
            return amounts
        try:
            return await or_none(self._currencies.convert(Conversion(amounts, currency))) or amounts
        except UnknownCurrency:  # the cookie is older than the table of rates, or made up
            return amounts
