from atoll import Service, System, get


class Catalog:
    @get("/products/{product_id}")
    async def product(self, sku: str) -> str:
        return sku

    @get("products")
    async def no_slash(self) -> str:
        return ""

    @get("/products/{Upper}/x y")
    async def bad_segment(self) -> str:
        return ""

    @get("/twice/{sku}/{sku}")
    async def twice(self, sku: str) -> str:
        return sku


shop = System("shop", services=[Service("catalog", Catalog)])
