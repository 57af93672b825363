"""The checkout: how a basket becomes an order that is paid exactly once, whoever fails on the way.

First the order is stored as pending, then the card is charged, then the order is confirmed and its event published
in one transaction. If this process dies after the charge, the event payment-settled confirms the order instead; if the
customer asks again, payment answers with the charge it has. What a pending order contains never changes, for nobody
knows yet whether it was charged.
"""

import asyncio

from atoll import Database, Transaction, consumes, publishes

from ..cart.contract import Cart, Item
from ..catalog.contract import Catalog
from ..money import total
from ..payment.contract import Declined, NewCharge, Payment, PaymentSettled, payment_settled
from .contract import Checkout, EmptyBasket, Line, NewOrder, Order, OrderPlaced, Status, UnknownOrder, order_placed

ORDER = "SELECT id, status, email, address, lines, total, placed_at FROM orders"


@publishes(order_placed)
class CheckoutService(Checkout):
    """Asks cart, catalog and payment, and keeps the orders."""

    def __init__(self, database: Database, cart: Cart, catalog: Catalog, payment: Payment) -> None:
        self._database = database
        self._cart = cart
        self._catalog = catalog
        self._payment = payment

    async def place(self, order: NewOrder) -> Order:
        pending = await self._pending(order)
        if pending.status is Status.CONFIRMED:
            return pending
        # Outside of any transaction: a call may take long, and would hold the row's lock all the while.
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
        lines = await self._lines(order.basket_id)
        await self._database.execute(
            """INSERT INTO orders (id, email, address, lines, total) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (id) DO UPDATE
               SET status = 'pending', email = $2, address = $3, lines = $4, total = $5, placed_at = now()
               WHERE orders.status = 'declined'""",
            order.basket_id,
            order.email,
            order.address,
            lines,
            total(line.price * line.quantity for line in lines),
        )
        return await self.order(order.basket_id)

    async def _lines(self, basket_id: str) -> list[Line]:
        basket = await self._cart.basket(basket_id)
        if not basket.items:
            raise EmptyBasket(basket_id=basket_id)
        return await asyncio.gather(*map(self._priced, basket.items))

    async def _priced(self, item: Item) -> Line:
        product = await self._catalog.product(item.product_id)
        return Line(product.id, product.name, item.quantity, product.price)

    async def _confirm(self, tx: Transaction, order_id: str) -> Order:
        """Confirm the order and publish it. Of two who come at once one waits for the other, and finds it done."""
        is_first = await tx.execute(
            "UPDATE orders SET status = 'confirmed' WHERE id = $1 AND status <> 'confirmed'", order_id
        )
        order = await tx.one(Order, f"{ORDER} WHERE id = $1", order_id)
        if order is None:
            raise UnknownOrder(order_id=order_id)
        if is_first:
            event = OrderPlaced(order.id, order.email, order.address.name, order.lines, order.total)
            await tx.publish(order_placed, event)
        return order
