"""Who visits: what the cookies of a request say, and how they are kept.

Four cookies. `basket` is the random id of a basket: whoever has it may use the basket, and nothing else. `customer` is
signed, so that nobody can claim to be somebody else. `currency` and `theme` are a matter
of taste.

All are SameSite=Lax: a browser does not send them with a POST from another site. So a form on a foreign page can act
on a fresh, empty session only, and needs no token to be harmless.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Literal
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ..money import Currency

MONTH = 30 * 24 * 3600

Theme = Literal["auto", "light", "dark"]


class Customer(Struct, frozen=True):
    """Somebody who is logged in."""

    id: UUID
    name: str
    email: str


class Visit(Struct, frozen=True):
    """One request's visitor. basket_id: "" until something is put into a basket."""

    basket_id: str = ""
    customer: Customer | None = None
    theme: Theme = "auto"
    currency: Currency = "EUR"


class Sessions:
    """Reads and writes the cookies."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def visit(self, request: Request) -> Visit:
        """Who visits; a cookie that is damaged, forged or of another time counts for nothing."""
        basket_id = request.cookies.get("basket", "")
        theme = request.cookies.get("theme", "")
        return Visit(
            basket_id if len(basket_id) == 32 and set(basket_id) <= set("0123456789abcdef") else "",
            self._verified(request.cookies.get("customer", "")),
            "light" if theme == "light" else "dark" if theme == "dark" else "auto",
            _currency(request.cookies.get("currency", "")) or "EUR",
        )

    def give_basket(self, response: Response, basket_id: str) -> None:
        """Let the visitor use this basket from now on; "" for none."""
        _set(response, "basket", basket_id)

    def welcome(self, response: Response, customer: Customer) -> None:
        """Log the visitor in."""
        _set(response, "customer", self._signed(customer))

    def see_off(self, response: Response) -> None:
        """Log the visitor out."""
        _set(response, "customer", "")

    def set_theme(self, response: Response, theme: str) -> None:
        _set(response, "theme", theme)

    def set_currency(self, response: Response, currency: str) -> None:
        """Show prices in this currency from now on; anything that is no currency's code is none."""
        _set(response, "currency", _currency(currency))

    def _signed(self, customer: Customer) -> str:
        payload = base64.urlsafe_b64encode(msgspec.json.encode(customer)).decode()
        return f"{payload}.{self._signature(payload)}"

    def _verified(self, cookie: str) -> Customer | None:
        payload, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
            return None
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(payload), type=Customer)
        except (binascii.Error, msgspec.DecodeError):
            return None  # signed by us, but by a version whose customers looked otherwise

    def _signature(self, payload: str) -> str:
        return hmac.new(self._key, payload.encode(), hashlib.sha256).hexdigest()


def new_basket_id() -> str:
    """An id that nobody guesses."""
    return uuid4().hex


def _currency(text: str) -> str:
    return text if len(text) == 3 and text.isascii() and text.isalpha() and text.isupper() else ""


def _set(response: Response, name: str, value: str) -> None:
    if value:
        response.set_cookie(name, value, max_age=MONTH, httponly=True, samesite="lax")
    else:
        response.delete_cookie(name, httponly=True, samesite="lax")
