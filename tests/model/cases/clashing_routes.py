from atoll import Gateway, Service, System, get


class Catalog:
    @get("/products/{product_id}")
    async def product(self, product_id: str) -> str:
        return product_id

    @get("/products/{sku}")
    async def by_sku(self, sku: str) -> str:
        return sku

    @get("/products/new")
    async def new(self) -> str:
        return "a literal segment beats a parameter"


class Shelf:
    @get("/products/new")
    async def shelf(self) -> str:
        return "clashes with the catalog at the gateway"


catalog, shelf = Service("catalog", Catalog), Service("shelf", Shelf)
shop = System("shop", services=[catalog, shelf], gateway=Gateway(expose=[catalog, shelf]))
