import msgspec

from atoll import Service, System, get, post


class Socket:
    pass


class Product(msgspec.Struct):
    socket: Socket


class Box(msgspec.Struct):
    size: int


class Crate(msgspec.Struct):
    weight: int


class Catalog:
    @post("/products")
    async def add(self, product: Product) -> str:
        return str(product)

    @get("/box")
    async def either(self) -> Box | Crate:
        return Box(1)

    @get("/untyped")
    async def untyped(self, limit) -> str:  # type: ignore[no-untyped-def]
        return str(limit)

    @get("/nothing-said")
    async def nothing_said(self):  # type: ignore[no-untyped-def]
        return ""

    @get("/later")
    async def later(self) -> "Unknown":  # type: ignore[name-defined]  # noqa: F821
        return ""

    @get("/sync")
    def sync(self) -> str:
        return ""

    @get("/body")
    async def body(self, box: Box) -> str:
        return str(box)

    @post("/bodies")
    async def bodies(self, box: Box, crate: Crate) -> str:
        return str((box, crate))


shop = System("shop", services=[Service("catalog", Catalog)])
