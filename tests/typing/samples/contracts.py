"""A contract is an ordinary Protocol: what implements it, and what calls it, is checked like any other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, assert_type

from atoll import Fault, Response, get, post


class UnknownProduct(Fault, status=404):
    """No product has this id."""

    product_id: str


@dataclass(frozen=True)
class Product:
    id: str
    price: int


class Catalog(Protocol):
    @get("/products/{product_id}", raises=[UnknownProduct])
    async def product(self, product_id: str) -> Product: ...

    @get("/products")
    async def products(self, *, limit: int = 50, after: str = "") -> list[Product]: ...

    @get("/products/feed")
    def feed(self) -> AsyncIterator[Product]: ...

    @post("/products", status=201, idempotency_key=True)
    async def add(self, product: Product) -> Response[Product]: ...


class CatalogService(Catalog):
    async def product(self, product_id: str) -> Product:
        raise UnknownProduct(product_id=product_id)

    async def products(self, *, limit: int = 50, after: str = "") -> list[Product]:
        return [Product("1", limit)][: len(after)]

    async def feed(self) -> AsyncIterator[Product]:
        yield Product("1", 100)

    async def add(self, product: Product) -> Response[Product]:
        return Response(product, headers={"location": f"/products/{product.id}"})


class WrongAnswer(Catalog):
    async def product(self, product_id: str) -> str:  # expect: override | reportIncompatibleMethodOverride
        return product_id

    async def add(self, product: Product) -> Response[Product]:
        return Response("x")  # expect: arg-type | reportReturnType


class Hello:
    @get("/hello/{name}")
    async def hello(self, name: str) -> str:
        return f"Hello, {name}"


async def call(catalog: Catalog, hello: Hello) -> None:
    assert_type(await catalog.product("1"), Product)
    assert_type((await catalog.add(Product("1", 1))).body, Product)
    assert_type(await hello.hello("you"), str)
    async for product in catalog.feed():
        assert_type(product, Product)
    try:
        await catalog.products(limit=10)
    except UnknownProduct as fault:
        assert_type(fault.product_id, str)
    await catalog.product(1)  # expect: arg-type | reportArgumentType
    await catalog.products(10)  # expect: misc call-arg | reportCallIssue
    await catalog.prodct("1")  # expect: attr-defined | reportAttributeAccessIssue reportUnknownMemberType


UnknownProduct()  # expect: call-arg | reportCallIssue
UnknownProduct(product_id=1)  # expect: arg-type | reportArgumentType
UnknownProduct("1")  # expect: misc call-arg | reportCallIssue
get("/x", raises=[Product])  # expect: list-item | reportArgumentType
