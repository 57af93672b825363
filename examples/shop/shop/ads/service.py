"""The ads service: no database, no state, nothing to wait for."""

import random

from ..catalog.contract import Category
from .campaign import CAMPAIGN
from .contract import Ad, Ads


class AdService(Ads):
    """Draws from the campaign by lot."""

    async def ads(self, *, category: Category | None = None, limit: int = 1) -> list[Ad]:
        fitting = CAMPAIGN[category] if category else [ad for ads in CAMPAIGN.values() for ad in ads]
        return random.sample(fitting, min(limit, len(fitting)))
