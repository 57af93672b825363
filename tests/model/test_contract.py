"""A contract is read once into plain values."""

import dataclasses
import datetime as dt
import decimal
import enum
import pickle
import uuid
from collections.abc import AsyncIterator
from typing import Protocol

import msgspec
import pydantic
import pytest

from atoll import Fault, Response, delete, get, post
from atoll.model.contract import contracts_of, fault_struct, read_contract
from atoll.model.types import is_body, why_unreadable


class Colour(enum.Enum):
    RED = "red"


class Product(msgspec.Struct):
    id: str
    price: decimal.Decimal


@dataclasses.dataclass
class Size:
    width: int


class Label(pydantic.BaseModel):
    text: str


class Unknown(Fault, status=404):
    """No product has this id."""

    product_id: str
    hint: str = ""


class Catalog(Protocol):
    """The products on sale."""

    @get("/products/{product_id}", raises=[Unknown])
    async def product(self, product_id: str, *, language: str = "en") -> Product: ...

    @get("/feed")
    def feed(self) -> AsyncIterator[Product]: ...

    @post("/products", status=201, idempotency_key=True)
    async def add(self, product: Product) -> Response[Product]: ...

    @delete("/products/{product_id}")
    async def remove(self, product_id: str) -> None: ...


class CatalogService(Catalog):
    async def product(self, product_id: str, *, language: str = "en") -> Product:
        return Product(product_id + language, decimal.Decimal(1))


def test_parameters_come_from_the_path_the_query_and_the_body() -> None:
    contract, problems = read_contract(Catalog)
    assert problems == []
    found = {
        operation.name: {parameter.name: (parameter.source, parameter.required) for parameter in operation.parameters}
        for operation in contract.operations
    }
    assert found == {
        "product": {"product_id": ("path", True), "language": ("query", False)},
        "feed": {},
        "add": {"product": ("body", True)},
        "remove": {"product_id": ("path", True)},
    }


def test_the_return_type_says_whether_it_is_a_stream_has_headers_or_has_no_body() -> None:
    contract, _ = read_contract(Catalog)
    found = {each.name: (each.returns, each.streams, each.with_headers, each.status) for each in contract.operations}
    assert found == {
        "product": (Product, False, False, 200),
        "feed": (Product, True, False, 200),
        "add": (Product, False, True, 201),
        "remove": (None, False, False, 204),
    }


def test_what_may_be_repeated_is_known_from_the_method_or_declared() -> None:
    contract, _ = read_contract(Catalog)
    assert {each.name: each.idempotent for each in contract.operations} == {
        "product": True,
        "feed": True,
        "add": True,
        "remove": True,
    }


def test_an_implementation_serves_the_contracts_that_it_subclasses() -> None:
    assert contracts_of(CatalogService) == (Catalog,)


def test_two_paths_clash_only_when_their_patterns_are_equal() -> None:
    contract, _ = read_contract(Catalog)
    product, remove = contract.operation("product"), contract.operation("remove")
    assert product is not None
    assert remove is not None
    assert product.pattern == remove.pattern == ("products", None)


def test_a_fault_is_an_exception_with_typed_fields_that_survives_pickling() -> None:
    fault = Unknown(product_id="7")
    again = pickle.loads(pickle.dumps(fault))
    assert (type(again), again.product_id, again.hint, again.status) == (Unknown, "7", "", 404)
    assert "product_id='7'" in str(fault)
    assert len({fault, again}) == 2
    with pytest.raises(Unknown):
        raise fault


def test_a_struct_beside_a_fault_decodes_its_fields() -> None:
    struct = fault_struct(Unknown)
    assert msgspec.to_builtins(msgspec.json.decode(b'{"product_id":"7"}', type=struct)) == {
        "product_id": "7",
        "hint": "",
    }


@pytest.mark.parametrize(
    "kind",
    [
        Product,
        Size,
        Label,
        Colour,
        dt.datetime,
        dt.date,
        decimal.Decimal,
        uuid.UUID,
        int | None,
        Product | None,
        list[Product],
        dict[str, list[Label]],
        tuple[int, str],
    ],
)
def test_types_that_json_has_a_form_for_may_travel(kind: object) -> None:
    assert why_unreadable(kind) == ""


@pytest.mark.parametrize("kind", [object.__init__, type, Fault, AsyncIterator[int], dict[str, Fault]])
def test_other_types_may_not_and_the_reason_is_said(kind: object) -> None:
    assert why_unreadable(kind)


def test_a_body_is_a_struct_a_dataclass_a_pydantic_model_or_made_of_them() -> None:
    assert [is_body(kind) for kind in (Product, Size, Label, Product | None, list[Product])] == [True] * 5
    assert [is_body(kind) for kind in (str, Colour, int | None, list[str], uuid.UUID)] == [False] * 5
