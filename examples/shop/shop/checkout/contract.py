"""What other services may ask of the checkout, and what it tells them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from atoll import Fault, Topic, get, post

from ..cart.contract import BasketId
from ..catalog.contract import UnknownProduct
from ..currency.contract import UnknownCurrency
from ..money import Currency, Money
from ..payment.contract import Card, Declined
from ..shipping.contract import Address
from ..users.contract import Email

PageSize = Annotated[int, Meta(ge=1, le=100)]


class NewOrder(Struct, frozen=True):
    """A basket to be ordered, and the currency to pay in.

    The order takes the basket's id, so a basket can be ordered once.
    """

    basket_id: BasketId
    email: Email
    address: Address
    card: Card
    currency: Currency = "EUR"


class Line(Struct, frozen=True):
    """So many of one product, at the price of the day; `price` is for one of them."""

    product_id: str
    name: str
    quantity: int
    price: Money


class Status(StrEnum):
    """pending → confirmed; pending → declined → pending (another card)."""

    PENDING = "pending"
    DECLINED = "declined"
    CONFIRMED = "confirmed"


class Order(Struct, frozen=True):
    """An order and how far it has come. Only a confirmed one is paid, mailed and sent.

    All amounts are in the currency that it is paid in. total: the lines and the shipping.
    """

    id: str
    status: Status
    email: str
    address: Address
    lines: list[Line]
    shipping: Money
    total: Money
    placed_at: datetime


class OrderPlaced(Struct, frozen=True):
    """An order is confirmed and paid."""

    order_id: str
    email: str
    name: str
    lines: list[Line]
    shipping: Money
    total: Money


class EmptyBasket(Fault, status=409):
    """There is nothing in the basket to order."""

    basket_id: str


class UnknownOrder(Fault, status=404):
    """No order has this id."""

    order_id: str


order_placed = Topic("order-placed", OrderPlaced, key="order_id")


class Checkout(Protocol):
    """Turns baskets into orders."""

    @post("/orders", status=201, idempotency_key=True, raises=[EmptyBasket, UnknownProduct, UnknownCurrency, Declined])
    async def place(self, order: NewOrder) -> Order:
        """Charge the card and confirm the order. Asking again for the same basket answers the same order."""
        ...

    @get("/orders/{order_id}", raises=[UnknownOrder])
    async def order(self, order_id: str) -> Order:
        """One order."""
        ...

    @get("/orders")
    async def orders(self, *, limit: PageSize = 50) -> list[Order]:
        """The orders placed last, the newest first."""
        ...
