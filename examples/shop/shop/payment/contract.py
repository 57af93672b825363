"""What other services may ask of the payment service, and what it tells them."""

from datetime import datetime
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from atoll import Fault, Topic, get, post

from ..money import Money

# The usual numbers for tests: the first is always accepted, the second always declined.
GOOD_CARD = "4242 4242 4242 4242"
DECLINED_CARD = "4000 0000 0000 0002"


class Card(Struct, frozen=True):
    """A credit card. Its number is used once and kept nowhere."""

    number: Annotated[str, Meta(pattern="^[0-9 ]{12,23}$")]

    def __repr__(self) -> str:
        return f"Card(…{self.ending})"  # logs and traces must not know the number

    @property
    def ending(self) -> str:
        """The last four digits: what may be shown and stored."""
        return self.number.replace(" ", "")[-4:]


class NewCharge(Struct, frozen=True):
    """What an order costs and which card pays."""

    order_id: str
    amount: Money
    card: Card


class Charge(Struct, frozen=True):
    """An order that was paid."""

    order_id: str
    amount: Money
    card_ending: str
    charged_at: datetime


class PaymentSettled(Struct, frozen=True):
    """An order was paid: it is told once, after the charge is in the ledger."""

    order_id: str
    amount: Money


class Declined(Fault, status=402):
    """The card was not charged."""

    reason: str


class ChargedAlready(Fault, status=409):
    """The order was paid before, with another amount; nothing was charged now."""

    order_id: str
    amount: Money


payment_settled = Topic("payment-settled", PaymentSettled, key="order_id")


class Payment(Protocol):
    """Charges cards. An order is charged once, however often it is asked for."""

    @post("/charges", status=201, idempotency_key=True, raises=[Declined, ChargedAlready])
    async def charge(self, charge: NewCharge) -> Charge:
        """Charge the card, or answer with the charge that this order has already."""
        ...

    @get("/charges")
    async def charges(self, order_ids: Annotated[list[str], Meta(max_length=100)]) -> list[Charge]:
        """The charges of these orders; an order that was not paid has none."""
        ...
