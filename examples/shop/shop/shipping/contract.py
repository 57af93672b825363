"""What other services may ask of shipping, and what it tells them."""

from datetime import datetime
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from atoll import Topic, get, put

from ..money import Money
from ..users.contract import Email, Name

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Things = Annotated[int, Meta(ge=1, le=4950)]  # a basket of 50 products, 99 of each


class Address(Struct, frozen=True):
    """Where a parcel goes."""

    name: Name
    street: Text
    city: Text
    country: Text


class Quote(Struct, frozen=True):
    """What a parcel costs, and how many days it takes at most."""

    cost: Money
    days: int


class Parcel(Struct, frozen=True):
    """What is to be sent as soon as it is paid, where to, and who is to be told."""

    things: Things
    address: Address
    email: Email


class Shipment(Struct, frozen=True):
    """A parcel that has left."""

    order_id: str
    tracking: str
    shipped_at: datetime


class OrderShipped(Struct, frozen=True):
    """The parcel of an order has left the boutique."""

    order_id: str
    tracking: str
    email: str
    address: Address


order_shipped = Topic("order-shipped", OrderShipped, key="order_id")


class Shipping(Protocol):
    """Packs parcels, and sends each as soon as its order is paid."""

    @get("/quotes")
    async def quote(self, things: Things) -> Quote:
        """What it costs to send so many things."""
        ...

    @put("/parcels/{order_id}")
    async def pack(self, order_id: str, parcel: Parcel) -> None:
        """Have the parcel of an order ready before anybody pays for it. The last word before it leaves counts."""
        ...

    @get("/shipments")
    async def shipments(self, order_ids: Annotated[list[str], Meta(max_length=100)]) -> list[Shipment]:
        """The parcels of these orders that have left; one that has not has none."""
        ...
