"""The currency service: a table of rates, and exact arithmetic."""

from decimal import Decimal
from fractions import Fraction

from atoll import Database

from ..money import Money, digits
from .contract import Conversion, Currencies, Rate, UnknownCurrency

RATE = "SELECT currency, name, per_euro FROM rates"


class CurrencyService(Currencies):
    """Converts by the rates that its migrations have stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rates(self) -> list[Rate]:
        return await self._database.all(Rate, f"{RATE} ORDER BY currency")

    async def convert(self, conversion: Conversion) -> list[Money]:
        codes = {conversion.currency, *(amount.currency for amount in conversion.amounts)}
        found = await self._database.all(Rate, f"{RATE} WHERE currency = ANY($1)", sorted(codes))
        per_euro = {rate.currency: rate.per_euro for rate in found}
        if unknown := codes - per_euro.keys():
            raise UnknownCurrency(currency=min(unknown))
        return [converted(amount, conversion.currency, per_euro) for amount in conversion.amounts]


def converted(amount: Money, currency: str, per_euro: dict[str, Decimal]) -> Money:
    """The amount in the other currency: computed with fractions, so nothing is lost before it is rounded, once."""
    if amount.currency == currency:
        return amount
    euros = Fraction(amount.minor, 10 ** digits(amount.currency)) / Fraction(per_euro[amount.currency])
    return Money(currency, round(euros * Fraction(per_euro[currency]) * 10 ** digits(currency)))
