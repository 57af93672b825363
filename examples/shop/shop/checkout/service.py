"""The checkout: how a basket becomes an order that is paid exactly once, whoever fails on the way.

First the order is stored as pending and its parcel packed, then the card is charged, then the order is confirmed and
its event published in one transaction. If this process dies after the charge, the event payment-settled confirms the
order instead; if the customer asks again, payment answers with the charge it has. What a pending order contains never
changes, for nobody knows yet whether it was charged.
"""

import asyncio

from msgspec.structs import replace

from atoll import Database, Transaction, consumes, publishes

from ..cart.contract import Cart, Item
from ..catalog.contract import Catalog
from ..currency.contract import Conversion, Currencies
from ..money import Money, total
from ..payment.contract import Declined, NewCharge, Payment, PaymentSettled, payment_settled
from ..shipping.contract import Parcel, Shipping
from .contract import Checkout, EmptyBasket, Line, NewOrder, Order, OrderPlaced, Status, UnknownOrder, order_placed

ORDER = "SELECT id, status, email, address, lines, shipping, total, placed_at FROM orders"


@publishes(order_placed)
class CheckoutService(Checkout):
    """Asks those who know what is in the basket, what it costs and who pays, and keeps the orders."""

    def __init__(
        self,
        database: Database,
        cart: Cart,
        catalog: Catalog,
        currencies: Currencies,
        shipping: Shipping,
        payment: Payment,
    ) -> None:
        self._database = database
        self._cart = cart
        self._catalog = catalog
        self._currencies = currencies
        self._shipping = shipping
        self._payment = payment

    async def place(self, order: NewOrder) -> Order:
        pending = await self._pending(order)
        if pending.status is Status.CONFIRMED:
            return pending
        # Outside of any transaction: a call may take long, and would hold the row's lock all the while.
        things = sum(line.quantity for line in pending.lines)
        await self._shipping.pack(pending.id, Parcel(things, pending.address, pending.email))
        try:
            await self._payment.charge(NewCharge(pending.id, pending.total, order.card))
        except Declined:
            await self._database.execute(
                "UPDATE orders SET status = 'declined' WHERE id = $1 AND status = 'pending'", pending.id
            )
            raise
        async with self._database.transaction() as tx:
            return tx.answer(await self._confirm(tx, pending.id))

    @consumes(payment_settled)
    async def settle(self, event: PaymentSettled, tx: Transaction) -> None:
        """Confirm an order whose `place` did not live to see the charge's answer; usually it has done so already."""
        await self._confirm(tx, event.order_id)

    async def order(self, order_id: str) -> Order:
        order = await self._database.one(Order, f"{ORDER} WHERE id = $1", order_id)
        if order is None:
            raise UnknownOrder(order_id=order_id)
        return order

    async def orders(self, *, limit: int = 50) -> list[Order]:
        return await self._database.all(Order, f"{ORDER} ORDER BY placed_at DESC LIMIT $1", limit)

    async def _pending(self, order: NewOrder) -> Order:
        """The order of this basket: the one that was begun before, or a new one at today's prices."""
        known = await self._database.one(Order, f"{ORDER} WHERE id = $1", order.basket_id)
        if known and known.status is not Status.DECLINED:
            return known
        lines, shipping = await self._priced(order.basket_id, order.currency)
        await self._database.execute(
            """INSERT INTO orders (id, email, address, lines, shipping, total) VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (id) DO UPDATE
               SET status = 'pending', email = $2, address = $3, lines = $4, shipping = $5, total = $6,
                   placed_at = now()
               WHERE orders.status = 'declined'""",
            order.basket_id,
            order.email,
            order.address,
            lines,
            shipping,
            total([*(line.price * line.quantity for line in lines), shipping]),
        )
        return await self.order(order.basket_id)

    async def _priced(self, basket_id: str, currency: str) -> tuple[list[Line], Money]:
        """The lines of the basket and the shipping, each in the currency."""
        basket = await self._cart.basket(basket_id)
        if not basket.items:
            raise EmptyBasket(basket_id=basket_id)
        things = sum(item.quantity for item in basket.items)
        quote, lines = await asyncio.gather(
            self._shipping.quote(things), asyncio.gather(*map(self._line, basket.items))
        )
        shipping, *prices = await self._converted([quote.cost, *(line.price for line in lines)], currency)
        return [replace(line, price=price) for line, price in zip(lines, prices, strict=True)], shipping

    async def _line(self, item: Item) -> Line:
        product = await self._catalog.product(item.product_id)
        return Line(product.id, product.name, item.quantity, product.price)

    async def _converted(self, amounts: list[Money], currency: str) -> list[Money]:
        """The amounts in the currency; who pays in the boutique's own does not depend on anybody for that."""
        if all(amount.currency == currency for amount in amounts):
            return amounts
        return await self._currencies.convert(Conversion(amounts, currency))

    async def _confirm(self, tx: Transaction, order_id: str) -> Order:
        """Confirm the order and publish it. Of two who come at once one waits for the other, and finds it done."""
        is_first = await tx.execute(
            "UPDATE orders SET status = 'confirmed' WHERE id = $1 AND status <> 'confirmed'", order_id
        )
        order = await tx.one(Order, f"{ORDER} WHERE id = $1", order_id)
        if order is None:
            raise UnknownOrder(order_id=order_id)
        if is_first:
            event = OrderPlaced(order.id, order.email, order.address.name, order.lines, order.shipping, order.total)
            await tx.publish(order_placed, event)
        return order
