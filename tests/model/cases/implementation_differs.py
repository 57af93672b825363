from typing import Protocol

from atoll import Service, System, get


class Catalog(Protocol):
    @get("/products/{product_id}")
    async def product(self, product_id: str) -> str: ...

    @get("/products")
    async def products(self, *, limit: int = 50) -> list[str]: ...

    @get("/search")
    async def search(self, text: str) -> list[str]: ...

    @get("/count")
    async def count(self) -> int: ...


class CatalogService(Catalog):
    async def product(self, product_id: int) -> str:  # type: ignore[override]
        return str(product_id)

    async def products(self, *, limit: int) -> list[str]:  # type: ignore[override]
        return [str(limit)]

    async def search(self, text: str, exact: bool) -> list[str]:  # type: ignore[override]
        return [text, str(exact)]


shop = System("shop", services=[Service("catalog", CatalogService)])
