"""The catalog, kept in PostgreSQL, which searches it too."""

from collections.abc import AsyncIterator

from atoll import Caller, Database

from .contract import Catalog, Category, NewPrice, Product, UnknownProduct

PAGE = 50

# A row with these columns is a Product.
PRODUCT = """
    SELECT id, name, category, description,
           jsonb_build_object('currency', currency, 'minor', price) AS price,
           jsonb_build_object('shape', shape, 'palette', palette, 'pattern', pattern) AS look
    FROM products
"""


class CatalogService(Catalog):
    """Reads what its migrations have put on the shelves, and keeps who changed a price."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self._database = database
        self._caller = caller

    async def product(self, product_id: str) -> Product:
        product = await self._database.one(Product, f"{PRODUCT} WHERE id = $1", product_id)
        if product is None:
            raise UnknownProduct(product_id=product_id)
        return product

    async def products(self, *, category: Category | None = None, limit: int = 24, after: str = "") -> list[Product]:
        return await self._database.all(
            Product,
            f"{PRODUCT} WHERE id > $1 AND ($2::text IS NULL OR category = $2) ORDER BY id LIMIT $3",
            after,
            category,
            limit,
        )

    async def search(self, text: str, *, limit: int = 24) -> list[Product]:
        return await self._database.all(
            Product,
            # Whole words in any form ("candles" finds "candle"), and parts of names for those who are still typing.
            f"""{PRODUCT}, websearch_to_tsquery('english', $1) AS query
                WHERE words @@ query OR position(lower($1) IN lower(name)) > 0
                ORDER BY ts_rank(words, query) DESC, id LIMIT $2""",
            text.strip(),
            limit,
        )

    async def feed(self) -> AsyncIterator[Product]:
        # Page by page, so that a slow reader holds neither a connection nor the whole catalog in memory.
        after = ""
        while page := await self.products(limit=PAGE, after=after):
            for product in page:
                yield product
            after = page[-1].id

    async def reprice(self, product_id: str, price: NewPrice) -> Product:
        async with self._database.transaction() as tx:
            # Who asks was verified at the gateway, and that they may was looked at again before this line.
            changed = await tx.execute(
                """WITH before AS (SELECT id, price FROM products WHERE id = $1 FOR UPDATE),
                        changed AS (UPDATE products SET price = $2 WHERE id = $1)
                   INSERT INTO price_changes (product_id, before, after, changed_by)
                   SELECT id, price, $2, $3 FROM before""",
                product_id,
                price.minor,
                self._caller.subject,
            )
            if not changed:
                raise UnknownProduct(product_id=product_id)
            product = await tx.one(Product, f"{PRODUCT} WHERE id = $1", product_id)
        assert product is not None
        return product
