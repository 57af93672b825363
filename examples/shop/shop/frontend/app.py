"""Puts the frontend together."""

from pathlib import Path

from msgspec import Struct
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atoll import CallFailed, Secret

from ..ads.contract import Ads
from ..cart.contract import Cart
from ..catalog.contract import Catalog
from ..checkout.contract import Checkout
from ..currency.contract import Currencies
from ..recommendation.contract import Recommendation
from ..shipping.contract import Shipping
from ..users.contract import Users
from .accounts import Accounts
from .browsing import Browsing
from .buying import Buying
from .choosing import Choosing
from .pictures import picture
from .prices import Prices
from .reckoning import Reckoner
from .sessions import Sessions
from .suggestions import Suggestions
from .view import View

HERE = Path(__file__).parent


class FrontendSettings(Struct, frozen=True):
    """session_key: signs the cookie of those who are logged in."""

    session_key: Secret


# Each parameter is found by its type, like a constructor's of any service.
def create(
    catalog: Catalog,
    cart: Cart,
    checkout: Checkout,
    users: Users,
    currencies: Currencies,
    shipping: Shipping,
    ads: Ads,
    recommendation: Recommendation,
    settings: FrontendSettings,
) -> Starlette:
    """The application; `Asgi("frontend", "shop.frontend:create", ...)` in shop/system.py names it."""
    sessions = Sessions(settings.session_key.reveal())
    view = View(HERE / "templates", cart, sessions)
    prices = Prices(currencies)
    reckoner = Reckoner(catalog, cart, shipping, prices)
    suggestions = Suggestions(recommendation, ads)
    routes = [
        *Browsing(view, catalog, prices, suggestions).routes,
        *Buying(view, catalog, cart, checkout, shipping, reckoner, suggestions).routes,
        *Accounts(view, users).routes,
        *Choosing(view, currencies).routes,
        Route("/pictures/{shape}/{palette}/{pattern}.svg", show_picture),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={404: view.not_found, CallFailed: view.call_failed},
    )


async def show_picture(request: Request) -> Response:
    """A picture follows from its address alone, so it may be kept for a year."""
    try:
        drawn = picture(**request.path_params)
    except KeyError:
        return Response("No such picture.", 404, media_type="text/plain")
    headers = {
        "cache-control": "public, max-age=31536000, immutable",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return Response(drawn, media_type="image/svg+xml", headers=headers)


class SecurityHeaders:
    """Pages that load nothing from elsewhere, run no script and cannot be framed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in HEADERS if pair[0] not in known)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]
