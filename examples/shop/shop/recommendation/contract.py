"""What other services may ask the recommendation service; recommendation/server.js answers."""

from typing import Annotated, Protocol

from msgspec import Meta

from atoll import get

from ..catalog.contract import Product


class Recommendation(Protocol):
    """What goes well together."""

    @get("/recommendations/{product_id}")
    async def beside(self, product_id: str, *, limit: Annotated[int, Meta(ge=1, le=12)] = 4) -> list[Product]:
        """Products that go well with this one, the best first; none if nobody knows the product."""
        ...
