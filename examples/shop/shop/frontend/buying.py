"""The basket, the till, and the page that says thank you."""

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from atoll import CallFailed

from ..cart.contract import Amount, BasketClosed, BasketFull, Cart, Item
from ..catalog.contract import Catalog, Product, UnknownProduct
from ..checkout.contract import Address, Checkout, EmptyBasket, NewOrder, UnknownOrder
from ..money import Money, total
from ..payment.contract import DECLINED_CARD, GOOD_CARD, Declined
from ..recommendation.contract import Recommendation
from .sessions import Visit, new_basket_id
from .view import View, or_none

FIELDS = {
    "email": "An e-mail address, please.",
    "name": "Whom is it for?",
    "street": "Where does it go?",
    "city": "In which city?",
    "country": "In which country?",
    "card": "A card has 12 to 19 digits.",
}


class PricedLine(Struct, frozen=True):
    """An item of a basket as the page shows it."""

    product: Product
    quantity: int

    @property
    def price(self) -> Money:
        return self.product.price * self.quantity


class Trouble(Struct, frozen=True):
    """What went wrong at the till, and whether anything was ordered: the first thing a customer wants to know."""

    title: str
    text: str
    link: str = ""
    label: str = ""


class Buying:
    """From the basket to the order."""

    def __init__(
        self, view: View, catalog: Catalog, cart: Cart, checkout: Checkout, recommendation: Recommendation
    ) -> None:
        self._view = view
        self._catalog = catalog
        self._cart = cart
        self._checkout = checkout
        self._recommendation = recommendation
        self.routes = [
            Route("/basket", self.basket),
            Route("/basket", self.put_in, methods=["POST"]),
            Route("/basket/{product_id}", self.change, methods=["POST"]),
            Route("/checkout", self.till),
            Route("/checkout", self.pay, methods=["POST"]),
            Route("/thanks/{order_id}", self.thanks),
        ]

    async def basket(self, request: Request) -> Response:
        lines = await or_none(self._lines(self._view.sessions.visit(request)))
        first = lines[0].product.id if lines else ""
        companions = await or_none(self._recommendation.beside(first)) if first else None
        return await self._view.page(
            request,
            "basket.html",
            status=503 if lines is None else 200,
            lines=lines,
            total=_sum(lines),
            count=sum(line.quantity for line in lines or []),
            companions=companions,
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
        except (EmptyBasket, UnknownProduct):
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
        status = 503 if order is None else 200
        return await self._view.page(request, "thanks.html", status=status, order=order, order_id=order_id)

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
        lines = await or_none(self._lines(visit))
        if lines == [] and status == 200:
            return RedirectResponse("/basket", 303)
        return await self._view.page(
            request,
            "checkout.html",
            status=status,
            lines=lines,
            total=_sum(lines),
            count=sum(line.quantity for line in lines or []),
            basket_id=filled.get("basket_id", visit.basket_id),
            filled=filled,
            wrong=wrong or {},
            trouble=trouble,
            good_card=GOOD_CARD,
            declined_card=DECLINED_CARD,
        )

    async def _lines(self, visit: Visit) -> list[PricedLine]:
        """The basket with its products, each asked for at the same time."""
        if not visit.basket_id:
            return []
        basket = await self._cart.basket(visit.basket_id)
        lines = await asyncio.gather(*(self._line(basket.id, item) for item in basket.items))
        return [line for line in lines if line]

    async def _line(self, basket_id: str, item: Item) -> PricedLine | None:
        try:
            return PricedLine(await self._catalog.product(item.product_id), item.quantity)
        except UnknownProduct:  # no longer on sale: take it out, or the till would refuse the whole basket
            await self._cart.change(basket_id, item.product_id, Amount(0))
            return None

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
    form = {"basket_id": basket_id, "email": email, "address": address, "card": card}
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


def _sum(lines: list[PricedLine] | None) -> Money | None:
    return total(line.price for line in lines) if lines else None
