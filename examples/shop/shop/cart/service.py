"""The baskets, kept in PostgreSQL until they are ordered or forgotten."""

from atoll import Database, Transaction, consumes, every

from ..checkout.contract import OrderPlaced, order_placed
from .contract import Amount, Basket, BasketClosed, BasketFull, Cart, Item

MOST_PRODUCTS = 50
FORGOTTEN_AFTER_DAYS = 30


class CartService(Cart):
    """Holds baskets. The row of a basket is locked while it changes, so that two tabs lose nothing of each other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def basket(self, basket_id: str) -> Basket:
        items = await self._database.all(
            Item, "SELECT product_id, quantity FROM items WHERE basket_id = $1 ORDER BY position", basket_id
        )
        return Basket(basket_id, items)

    async def add(self, basket_id: str, item: Item) -> Basket:
        async with self._database.transaction() as tx:
            await self._open(tx, basket_id)
            await tx.execute(
                """INSERT INTO items (basket_id, product_id, quantity) VALUES ($1, $2, $3)
                   ON CONFLICT (basket_id, product_id) DO UPDATE SET quantity = least(items.quantity + $3, 99)""",
                basket_id,
                item.product_id,
                item.quantity,
            )
            return tx.answer(await self._read(tx, basket_id))

    async def change(self, basket_id: str, product_id: str, amount: Amount) -> Basket:
        async with self._database.transaction() as tx:
            await self._open(tx, basket_id)
            if amount.quantity == 0:
                await tx.execute("DELETE FROM items WHERE basket_id = $1 AND product_id = $2", basket_id, product_id)
            else:
                await tx.execute(
                    """INSERT INTO items (basket_id, product_id, quantity) VALUES ($1, $2, $3)
                       ON CONFLICT (basket_id, product_id) DO UPDATE SET quantity = $3""",
                    basket_id,
                    product_id,
                    amount.quantity,
                )
            return await self._read(tx, basket_id)

    async def empty(self, basket_id: str) -> None:
        async with self._database.transaction() as tx:
            await self._open(tx, basket_id)
            await tx.execute("DELETE FROM items WHERE basket_id = $1", basket_id)

    @consumes(order_placed)
    async def close(self, event: OrderPlaced, tx: Transaction) -> None:
        """Empty the basket that was ordered, and take nothing more into it."""
        await tx.execute(
            """INSERT INTO baskets (id, ordered_at) VALUES ($1, now())
               ON CONFLICT (id) DO UPDATE SET ordered_at = now()""",
            event.order_id,
        )
        await tx.execute("DELETE FROM items WHERE basket_id = $1", event.order_id)

    @every(hours=1)
    async def forget(self) -> None:
        """Drop the baskets that nobody has touched for a month; their items go with them."""
        await self._database.execute(
            "DELETE FROM baskets WHERE used_at < now() - make_interval(days => $1)", FORGOTTEN_AFTER_DAYS
        )

    async def _open(self, tx: Transaction, basket_id: str) -> None:
        """Lock the basket, making it if it is new.

        Raises BasketClosed if it has been ordered.
        """
        is_open = await tx.value(
            bool,
            """INSERT INTO baskets (id) VALUES ($1)
               ON CONFLICT (id) DO UPDATE SET used_at = now() RETURNING ordered_at IS NULL""",
            basket_id,
        )
        if not is_open:
            raise BasketClosed(basket_id=basket_id)

    async def _read(self, tx: Transaction, basket_id: str) -> Basket:
        items = await tx.all(
            Item, "SELECT product_id, quantity FROM items WHERE basket_id = $1 ORDER BY position", basket_id
        )
        if len(items) > MOST_PRODUCTS:
            raise BasketFull(limit=MOST_PRODUCTS)
        return Basket(basket_id, items)
