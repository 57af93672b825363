"""What other services may ask about currencies."""

from decimal import Decimal
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from atoll import Fault, get, post

from ..money import Currency, Money

MOST_AMOUNTS = 200  # of one question


class Rate(Struct, frozen=True):
    """A currency that the boutique takes; `per_euro`: how much of it one euro buys, exactly."""

    currency: Currency
    name: str
    per_euro: Decimal


class Conversion(Struct, frozen=True):
    """Amounts, each in whatever currency, and the one currency that they are wanted in."""

    amounts: Annotated[list[Money], Meta(max_length=MOST_AMOUNTS)]
    currency: Currency


class UnknownCurrency(Fault, status=422):
    """The boutique does not take this currency."""

    currency: str


class Currencies(Protocol):
    """The currencies that the boutique takes."""

    @get("/rates")
    async def rates(self) -> list[Rate]:
        """Every currency with its rate, by code."""
        ...

    # A question, not a deed: POST because a page of amounts is too long for an address.
    @post("/conversions", idempotent=True, raises=[UnknownCurrency])
    async def convert(self, conversion: Conversion) -> list[Money]:
        """The amounts in the currency, in their order, each rounded once to its smallest unit, halves to even."""
        ...
