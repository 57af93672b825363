"""What other services may ask the catalog."""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from atoll import Fault, get, put

from ..money import Money

PageSize = Annotated[int, Meta(ge=1, le=100)]


class Category(StrEnum):
    """A room of the boutique."""

    KITCHEN = "kitchen"
    HOME = "home"
    WEAR = "wear"
    PAPER = "paper"
    GARDEN = "garden"
    PLAY = "play"


class Look(Struct, frozen=True):
    """What a product looks like; enough to draw its picture."""

    shape: str
    palette: str
    pattern: str


class Product(Struct, frozen=True):
    """Something on sale."""

    id: str
    name: str
    category: Category
    price: Money
    look: Look
    description: str


class NewPrice(Struct, frozen=True):
    """A price in minor units of the product's own currency."""

    minor: Annotated[int, Meta(ge=1, le=10_000_000)]


class UnknownProduct(Fault, status=404):
    """No product has this id."""

    product_id: str


class Catalog(Protocol):
    """The products on sale."""

    @get("/products/{product_id}", raises=[UnknownProduct])
    async def product(self, product_id: str) -> Product:
        """One product by its id."""
        ...

    @get("/products")
    async def products(
        self, *, category: Category | None = None, limit: PageSize = 24, after: str = ""
    ) -> list[Product]:
        """A page of products in the order of their ids, beginning after the id `after`."""
        ...

    @get("/products/search")
    async def search(self, text: Annotated[str, Meta(max_length=100)], *, limit: PageSize = 24) -> list[Product]:
        """The products that `text` describes, the best match first."""
        ...

    @get("/products/feed")
    def feed(self) -> AsyncIterator[Product]:
        """Every product, one by one, as server-sent events: for price comparers and partners."""
        ...

    @put("/products/{product_id}/price", raises=[UnknownProduct], scopes=["prices:write"])
    async def reprice(self, product_id: str, price: NewPrice) -> Product:
        """Set the price, for who may; baskets that are paid from now on pay it."""
        ...
