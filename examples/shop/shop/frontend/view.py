"""Renders pages, with what every page shows: the rooms, the visitor, and how much is in the basket."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from atoll import CallFailed

from ..cart.contract import Cart
from ..catalog.contract import Category
from .sessions import Sessions, Visit

T = TypeVar("T")

PATIENCE = 0.5  # seconds that a page waits for what it can do without


class View:
    """The templates, and the parts of a page that do not depend on which page it is."""

    def __init__(self, templates: Path, cart: Cart, sessions: Sessions) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._cart = cart
        self.sessions = sessions

    async def page(self, request: Request, template: str, *, status: int = 200, **values: object) -> Response:
        """A whole page. A template sees `values`, and: visit, rooms, here, count (of things in the basket)."""
        visit = self.sessions.visit(request)
        if "count" not in values:
            values["count"] = await self.count(visit)
        shared = {"visit": visit, "rooms": list(Category), "here": "", "notice": ""}
        html = self._templates.get_template(template).render({**shared, **values})
        # A page shows somebody's basket: no cache on the way may keep it.
        return HTMLResponse(html, status, headers={"cache-control": "private, no-cache"})

    async def count(self, visit: Visit) -> int:
        """How many things are in the basket; 0 if nobody can tell."""
        if not visit.basket_id:
            return 0
        basket = await or_none(self._cart.basket(visit.basket_id))
        return sum(item.quantity for item in basket.items) if basket else 0

    async def not_found(self, request: Request, _: Exception) -> Response:
        """The page for an address that leads nowhere."""
        text = "We looked in all six rooms, and under the counter. There is nothing at this address."
        return await self.page(request, "sorry.html", status=404, count=0, heading="Not here", text=text)

    async def call_failed(self, request: Request, _: Exception) -> Response:
        """The page for when a part that the page cannot do without does not answer."""
        text = "A part of the boutique does not answer. Nothing you had is lost; try again in a moment."
        page = await self.page(request, "sorry.html", status=503, count=0, heading="Bear with us", text=text)
        page.headers["retry-after"] = "2"
        return page


async def or_none(answer: Awaitable[T]) -> T | None:
    """The answer, or None if it does not come, or not in time: for what a page can do without."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await answer
    except (CallFailed, TimeoutError):
        return None
