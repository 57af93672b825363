"""The pages on which one looks around."""

import asyncio
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..catalog.contract import Catalog, Category, Product, UnknownProduct
from .prices import Prices
from .suggestions import Suggestions
from .view import View, or_none

ON_THE_TABLE = 12
PAGE = 24

# One picture and one saying for each room.
TILES = {
    Category.KITCHEN: "teapot/ocean/dots",
    Category.HOME: "lamp/coral/stripes",
    Category.WEAR: "umbrella/plum/plain",
    Category.PAPER: "book/lagoon/scales",
    Category.GARDEN: "plant/honey/checks",
    Category.PLAY: "boat/rose/stripes",
}
SAYINGS = {
    Category.KITCHEN: "For the first cup, the last bowl, and whoever drops in between.",
    Category.HOME: "Light, warmth, and somewhere to put your head.",
    Category.WEAR: "For wind from the north and sun from anywhere.",
    Category.PAPER: "Things to write on, write with, and read instead.",
    Category.GARDEN: "For everything that grows, and everyone who sings in it.",
    Category.PLAY: "Not only for children.",
}


class Browsing:
    """Home, shelves, search, and the page of one product. What is missing is left out; the page is there."""

    def __init__(self, view: View, catalog: Catalog, prices: Prices, suggestions: Suggestions) -> None:
        self._view = view
        self._catalog = catalog
        self._prices = prices
        self._suggestions = suggestions
        self.routes = [
            Route("/", self.home),
            Route("/shelf", self.everything),
            Route("/shelf/{room}", self.room),
            Route("/find", self.find),
            Route("/item/{product_id}", self.item),
            Route("/theme", self.choose_theme, methods=["POST"]),
        ]

    async def home(self, request: Request) -> Response:
        products, ads = await asyncio.gather(
            or_none(self._catalog.products(limit=ON_THE_TABLE)), self._suggestions.ads()
        )
        products = await self._priced(request, products)
        return await self._view.page(request, "home.html", products=products, tiles=TILES, ads=ads)

    async def everything(self, request: Request) -> Response:
        after = request.query_params.get("after", "")
        # One more than the page shows tells whether there is another page.
        products = await or_none(self._catalog.products(limit=PAGE + 1, after=after))
        more = ""
        if products and len(products) > PAGE:
            more = "/shelf?" + urlencode({"after": products[PAGE - 1].id})
        saying = "" if after else "Sixty things in six rooms."
        return await self._shelf(request, "Everything", saying, products and products[:PAGE], more=more)

    async def room(self, request: Request) -> Response:
        try:
            room = Category(request.path_params["room"])
        except ValueError as error:
            raise HTTPException(404) from error
        products, ads = await asyncio.gather(
            or_none(self._catalog.products(category=room, limit=100)), self._suggestions.ads(room)
        )
        return await self._shelf(request, room.capitalize(), SAYINGS[room], products, here=room, ads=ads)

    async def find(self, request: Request) -> Response:
        text = request.query_params.get("q", "").strip()[:100]
        if not text:
            return RedirectResponse("/shelf", 303)
        products = await or_none(self._catalog.search(text))
        return await self._shelf(request, f"“{text}”", "", products, q=text)

    async def item(self, request: Request) -> Response:
        product_id = request.path_params["product_id"]
        try:
            product, companions = await asyncio.gather(
                self._catalog.product(product_id), self._suggestions.companions(product_id)
            )
        except UnknownProduct as error:
            raise HTTPException(404) from error
        currency = self._view.sessions.visit(request).currency
        ads, (product, *companions) = await asyncio.gather(
            self._suggestions.ads(product.category), self._prices.products([product, *companions], currency)
        )
        return await self._view.page(
            request, "item.html", product=product, companions=companions, ads=ads, here=product.category
        )

    async def choose_theme(self, request: Request) -> Response:
        async with request.form() as form:
            theme = str(form.get("theme", ""))
        response = RedirectResponse("/", 303)
        self._view.sessions.set_theme(response, theme if theme in ("light", "dark") else "")
        return response

    async def _shelf(
        self, request: Request, heading: str, saying: str, products: list[Product] | None, **values: object
    ) -> Response:
        products = await self._priced(request, products)
        shared: dict[str, object] = {"heading": heading, "saying": saying, "products": products, "more": "", "ads": ()}
        status = 503 if products is None else 200
        return await self._view.page(request, "shelf.html", status=status, **shared | values)

    async def _priced(self, request: Request, products: list[Product] | None) -> list[Product] | None:
        """The products in the visitor's currency, if there are any."""
        return products and await self._prices.products(products, self._view.sessions.visit(request).currency)
