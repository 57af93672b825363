"""The page on which one chooses the currency of all others."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..currency.contract import Currencies
from .view import View, or_none


class Choosing:
    """The choice is kept in a cookie; a currency that the boutique does not take is as good as none."""

    def __init__(self, view: View, currencies: Currencies) -> None:
        self._view = view
        self._currencies = currencies
        self.routes = [
            Route("/currency", self.currencies),
            Route("/currency", self.choose, methods=["POST"]),
        ]

    async def currencies(self, request: Request) -> Response:
        rates = await or_none(self._currencies.rates())
        status = 503 if rates is None else 200
        back = way_back(request.headers.get("referer", ""))
        return await self._view.page(request, "currency.html", status=status, rates=rates, back=back)

    async def choose(self, request: Request) -> Response:
        async with request.form() as form:
            currency, back = str(form.get("currency", "")), str(form.get("back", ""))
        response = RedirectResponse(way_back(back), 303)
        self._view.sessions.set_currency(response, currency)
        return response


def way_back(address: str) -> str:
    """The page of ours that somebody comes from. Never another site, whatever the address says."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    path = "/" + parts.path.replace("\\", "/").lstrip("/")
    if path == "/currency":
        return "/"
    return f"{path}?{parts.query}" if parts.query else path
