"""What other services may ask for to fill a corner of a page."""

from typing import Annotated, Protocol

from msgspec import Meta, Struct

from atoll import get

from ..catalog.contract import Category


class Ad(Struct, frozen=True):
    """A line of text that leads to a product."""

    product_id: str
    text: str


class Ads(Protocol):
    """Advertisements. Every page can do without."""

    @get("/ads")
    async def ads(self, *, category: Category | None = None, limit: Annotated[int, Meta(ge=1, le=4)] = 1) -> list[Ad]:
        """Some advertisements for whoever looks at this category, or at none; others each time."""
        ...
