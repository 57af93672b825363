"""The basket, the till, and the page that says thank you."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from atoll import CallFailed

from ..cart.contract import Amount, BasketClosed, BasketFull, Cart, Item
from ..catalog.contract import Catalog, UnknownProduct
from ..checkout.contract import Checkout, EmptyBasket, NewOrder, UnknownOrder
from ..currency.contract import UnknownCurrency
from ..payment.contract import DECLINED_CARD, GOOD_CARD, Declined
from ..shipping.contract import Address, Shipping
from .reckoning import Reckoner
from .sessions import new_basket_id
from .suggestions import Suggestions
from .view import View, or_none

FIELDS = {
    "email": "An e-mail address, please.",
    "name": "Whom is it for?",
    "street": "Where does it go?",
    "city": "In which city?",
    "country": "In which country?",
    "card": "A card has 12 to 19 digits.",
}


class Trouble(Struct, frozen=True):
    """What went wrong at the till, and whether anything was ordered: the first thing a customer wants to know."""

    title: str
    text: str
    link: str = ""
    label: str = ""


class Buying:
    """From the basket to the order."""

    def __init__(
        self,
        view: View,
        catalog: Catalog,
        cart: Cart,
        checkout: Checkout,
        shipping: Shipping,
        reckoner: Reckoner,
        suggestions: Suggestions,
    ) -> None:
        self._view = view
        self._catalog = catalog
        self._cart = cart
        self._checkout = checkout
        self._shipping = shipping
        self._reckoner = reckoner
        self._suggestions = suggestions
        self.routes = [
            Route("/basket", self.basket),
            Route("/basket", self.put_in, methods=["POST"]),
            Route("/basket/{product_id}", self.change, methods=["POST"]),
            Route("/checkout", self.till),
            Route("/checkout", self.pay, methods=["POST"]),
            Route("/thanks/{order_id}", self.thanks),
        ]

    async def basket(self, request: Request) -> Response:
        visit = self._view.sessions.visit(request)
        reckoning = await self._reckoner.reckon(visit)
        first = reckoning.lines[0].product.id if reckoning and reckoning.lines else ""
        companions = await self._suggestions.companions(first) if first else ()
        return await self._view.page(
            request,
            "basket.html",
            status=200 if reckoning else 503,
            reckoning=reckoning,
            count=reckoning.things if reckoning else 0,
            companions=await self._reckoner.prices.products(companions, visit.currency),
        )

    async def put_in(self, request: Request) -> Response:
        async with request.form() as form:
            filled = {name: str(value) for name, value in form.items()}
        basket_id = self._view.sessions.visit(request).basket_id or new_basket_id()
        try:
            item = msgspec.convert({"quantity": 1} | filled, Item, strict=False)
            await self._catalog.product(item.product_id)
            try:
                await self._cart.add(basket_id, item)
            except BasketClosed:  # it has become an order, perhaps in another tab
                basket_id = new_basket_id()
                await self._cart.add(basket_id, item)
        except (msgspec.ValidationError, UnknownProduct):
            return await self._sorry(request, 422, "Not like this", "There is no such thing, or not so many of it.")
        except BasketFull as full:
            text = f"A basket holds {full.limit} different things. Order these first, or take one out."
            return await self._sorry(request, 409, "It is full", text)
        response = RedirectResponse("/basket", 303)
        self._view.sessions.give_basket(response, basket_id)
        return response

    async def change(self, request: Request) -> Response:
        async with request.form() as form:
            filled = {"quantity": "0" if "remove" in form else str(form.get("quantity", ""))}
        basket_id = self._view.sessions.visit(request).basket_id
        try:
            amount = msgspec.convert(filled, Amount, strict=False)
            if basket_id:
                await self._cart.change(basket_id, request.path_params["product_id"], amount)
        except msgspec.ValidationError:
            return await self._sorry(request, 422, "Not like this", "A number from 0 to 99, please.")
        except (BasketClosed, BasketFull):
            pass  # the page shows the basket as it is
        return RedirectResponse("/basket", 303)

    async def till(self, request: Request) -> Response:
        customer = self._view.sessions.visit(request).customer
        filled = {"email": customer.email, "name": customer.name} if customer else {}
        return await self._till(request, filled)

    async def pay(self, request: Request) -> Response:
        async with request.form() as form:
            filled = {name: str(value).strip() for name, value in form.items()}
        try:
            order = new_order(filled)
        except msgspec.ValidationError:
            return await self._till(request, filled, status=422, wrong=what_is_wrong(filled))
        try:
            placed = await self._checkout.place(order)
        except Declined as declined:
            trouble = Trouble(
                "The card was declined", f"{declined.reason.capitalize()}. Nothing was ordered or charged."
            )
            return await self._till(request, filled, status=402, trouble=trouble)
        except (EmptyBasket, UnknownProduct, UnknownCurrency):
            return RedirectResponse("/basket", 303)
        except CallFailed as failure:
            trouble = unsure(order.basket_id) if failure.may_have_happened else NOT_ORDERED
            return await self._till(request, filled, status=503, trouble=trouble)
        response = RedirectResponse(f"/thanks/{placed.id}", 303)
        self._view.sessions.give_basket(response, "")
        return response

    async def thanks(self, request: Request) -> Response:
        # The id of an order is as random as that of its basket: who knows it has ordered it.
        order_id = request.path_params["order_id"]
        try:
            order = await or_none(self._checkout.order(order_id))
        except UnknownOrder:
            text = "There is no such order. If you have just pressed “Pay”: nothing was ordered, and nothing charged."
            return await self._sorry(request, 404, "No such order", text)
        shipments = await or_none(self._shipping.shipments([order_id])) if order else None
        return await self._view.page(
            request,
            "thanks.html",
            status=503 if order is None else 200,
            order=order,
            order_id=order_id,
            shipment=shipments[0] if shipments else None,
        )

    async def _till(
        self,
        request: Request,
        filled: Mapping[str, str],
        *,
        status: int = 200,
        wrong: Mapping[str, str] | None = None,
        trouble: Trouble | None = None,
    ) -> Response:
        visit = self._view.sessions.visit(request)
        reckoning = await self._reckoner.reckon(visit)
        if reckoning and not reckoning.lines and status == 200:
            return RedirectResponse("/basket", 303)
        return await self._view.page(
            request,
            "checkout.html",
            status=status,
            reckoning=reckoning,
            count=reckoning.things if reckoning else 0,
            basket_id=filled.get("basket_id", visit.basket_id),
            filled=filled,
            wrong=wrong or {},
            trouble=trouble,
            good_card=GOOD_CARD,
            declined_card=DECLINED_CARD,
        )

    async def _sorry(self, request: Request, status: int, heading: str, text: str) -> Response:
        return await self._view.page(request, "sorry.html", status=status, heading=heading, text=text)


NOT_ORDERED = Trouble(
    "Nothing was ordered",
    "The till does not answer, so your order was not placed and your card not charged. Please try again in a moment.",
)


def unsure(basket_id: str) -> Trouble:
    """What to say when the answer was lost: the truth, and why trying again does no harm."""
    return Trouble(
        "We do not know yet",
        "The line to the till broke before it answered: your order may have been placed, or not. You may safely press "
        "“Pay” again, for a basket can be ordered and paid only once. Or look whether it is there:",
        f"/thanks/{basket_id}",
        "Look for the order",
    )


def new_order(filled: Mapping[str, str]) -> NewOrder:
    """What the form says, as an order.

    Raises msgspec.ValidationError if a field is missing or not as the contract wants it.
    """
    address = {name: filled.get(name, "") for name in Address.__struct_fields__}
    card = {"number": filled.get("card", "")}
    basket_id, email = filled.get("basket_id", ""), filled.get("email", "")
    form: dict[str, object] = {"basket_id": basket_id, "email": email, "address": address, "card": card}
    if "currency" in filled:
        form["currency"] = filled["currency"]
    return msgspec.convert(form, NewOrder)


def what_is_wrong(filled: Mapping[str, str]) -> dict[str, str]:
    """A sentence for every field that cannot be so: each is tried in a form that is otherwise right."""
    right = {"basket_id": "0" * 32, "email": "a@b.cd", "card": GOOD_CARD}
    right |= dict.fromkeys(Address.__struct_fields__, "x")
    wrong = {}
    for name, sentence in FIELDS.items():
        try:
            new_order(right | {name: filled.get(name, "")})
        except msgspec.ValidationError:
            wrong[name] = sentence
    return wrong
