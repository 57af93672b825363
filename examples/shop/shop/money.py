"""Amounts of money.

An amount is a whole number of minor units (cents) beside its currency, and nothing else. A float cannot hold 0.10; a
decimal in JSON is a string that every reader must scale alike. Whole numbers are exact in JSON, in PostgreSQL's bigint
and in JavaScript. The currency stands beside the number because euros and yen must never be added up.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]

# How many digits of an amount are minor units; two where nothing is said.
DIGITS = {"JPY": 0, "KRW": 0, "TND": 3}
SIGNS = {"CAD": "C$", "EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}


def digits(currency: str) -> int:
    """How many digits of an amount in this currency are minor units."""
    return DIGITS.get(currency, 2)


class Money(Struct, frozen=True, order=False):
    """An amount in one currency; `minor` counts its smallest units: Money("EUR", 1850) is € 18.50."""

    currency: Currency
    minor: int

    def __add__(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise ValueError(f"{self} and {other} are in different currencies")
        return Money(self.currency, self.minor + other.minor)

    def __mul__(self, times: int) -> "Money":
        return Money(self.currency, self.minor * times)

    def __str__(self) -> str:
        places = digits(self.currency)
        whole, rest = divmod(abs(self.minor), 10**places)
        amount = f"{whole:,}.{rest:0{places}}" if places else f"{whole:,}"
        return f"{'-' if self.minor < 0 else ''}{SIGNS.get(self.currency, self.currency)} {amount}"


def total(amounts: Iterable[Money], currency: str = "EUR") -> Money:
    """The sum; nothing at all is zero in `currency`.

    Raises ValueError where the currencies do not agree.
    """
    first, *rest = [*amounts] or [Money(currency, 0)]
    for amount in rest:
        first = first + amount
    return first
