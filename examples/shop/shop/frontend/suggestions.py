"""What a page shows beside its matter, and can do without."""

from collections.abc import Sequence

from ..ads.contract import Ad, Ads
from ..catalog.contract import Category, Product
from ..recommendation.contract import Recommendation
from .view import or_none


class Suggestions:
    """Companions of a product, and advertisements; nothing where those who know do not answer in time."""

    def __init__(self, recommendation: Recommendation, ads: Ads) -> None:
        self._recommendation = recommendation
        self._ads = ads

    async def companions(self, product_id: str) -> Sequence[Product]:
        """What goes well with the product."""
        return await or_none(self._recommendation.beside(product_id)) or ()

    async def ads(self, category: Category | None = None) -> Sequence[Ad]:
        """At most one advertisement for whoever looks at this category."""
        return await or_none(self._ads.ads(category=category)) or ()
