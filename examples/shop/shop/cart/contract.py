"""What other services may ask the cart."""

from typing import Annotated, Protocol

from msgspec import Meta, Struct

from atoll import Fault, delete, get, post, put

# Whoever knows the id of a basket may use it, so ids are long and random: uuid4().hex.
BasketId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
ProductId = Annotated[str, Meta(pattern="^[a-z0-9-]{2,60}$")]
Quantity = Annotated[int, Meta(ge=1, le=99)]


class Item(Struct, frozen=True):
    """So many of one product."""

    product_id: ProductId
    quantity: Quantity


class Amount(Struct, frozen=True):
    """The new quantity of an item; 0 takes it out of the basket."""

    quantity: Annotated[int, Meta(ge=0, le=99)]


class Basket(Struct, frozen=True):
    """What a customer wants to buy. A basket that nobody has used yet is empty."""

    id: str
    items: list[Item]


class BasketClosed(Fault, status=409):
    """This basket has been ordered: take a new one. The order carries its id."""

    basket_id: str


class BasketFull(Fault, status=409):
    """A basket holds so many different products and no more."""

    limit: int


class Cart(Protocol):
    """The baskets of all customers."""

    @get("/baskets/{basket_id}")
    async def basket(self, basket_id: BasketId) -> Basket:
        """What is in the basket, in the order in which it was added."""
        ...

    @post("/baskets/{basket_id}/items", idempotency_key=True, raises=[BasketClosed, BasketFull])
    async def add(self, basket_id: BasketId, item: Item) -> Basket:
        """Put more of a product into the basket."""
        ...

    @put("/baskets/{basket_id}/items/{product_id}", raises=[BasketClosed, BasketFull])
    async def change(self, basket_id: BasketId, product_id: ProductId, amount: Amount) -> Basket:
        """Have exactly so many of a product in the basket."""
        ...

    @delete("/baskets/{basket_id}", raises=[BasketClosed])
    async def empty(self, basket_id: BasketId) -> None:
        """Take everything out of the basket."""
        ...
