"""The OpenAPI document of a system."""

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from atoll import Fault, Gateway, Service, System, get, post
from atoll.model.system import read_system
from atoll.wire.description import ApiKeysData, Description, GatewayData, IssuerData, describe
from atoll.wire.openapi import openapi
from atoll.wire.secrets import SecretData


class Product(msgspec.Struct):
    id: str
    parts: list["Product"] = []


class Unknown(Fault, status=404):
    """No product has this id."""

    product_id: str


class Gone(Fault, status=404):
    """The product is no longer sold."""

    since: str


class Catalog:
    """The products on sale."""

    @get("/products/{product_id}", raises=[Unknown, Gone])
    async def product(self, product_id: str, *, limit: int = 50) -> Product:
        """One product.

        With all of its parts.
        """
        return Product(product_id + str(limit))

    @post("/products", status=201, raises=[Gone])
    async def add(self, product: Product) -> None:
        raise Gone(since=product.id)


class Inside:
    @get("/inside")
    async def inside(self) -> str:
        return ""


@pytest.fixture
def description() -> Description:
    catalog = Service("catalog", Catalog)
    system = System("shop", services=[catalog, Service("inside", Inside)], gateway=Gateway(expose=[catalog]))
    graph = read_system(system, lambda target: target)
    assert graph.problems == ()
    return describe(graph, Path(), (), lambda module: (), {})


def test_the_document_is_valid_openapi_3_1(description: Description) -> None:
    OpenAPIV31SpecValidator(openapi(description, "1")).validate()


def test_the_same_system_gives_the_same_bytes_also_after_a_journey_as_data(description: Description) -> None:
    travelled = msgspec.json.decode(msgspec.json.encode(description), type=Description)
    first, second = (msgspec.json.encode(openapi(each, "1")) for each in (description, travelled))
    assert first == second


def test_operation_ids_are_member_and_method(description: Description) -> None:
    paths = msgspec.json.decode(msgspec.json.encode(openapi(description, "1")))["paths"]
    found = {(path, method): row["operationId"] for path, rows in paths.items() for method, row in rows.items()}
    assert found == {
        ("/products/{product_id}", "get"): "catalog.product",
        ("/products", "post"): "catalog.add",
    }


def test_faults_of_one_status_are_told_apart_in_its_problem_response(description: Description) -> None:
    document = msgspec.json.decode(msgspec.json.encode(openapi(description, "1")))
    response = document["paths"]["/products/{product_id}"]["get"]["responses"]["404"]
    assert response["description"] == "No product has this id.; The product is no longer sold."
    choices = response["content"]["application/problem+json"]["schema"]["oneOf"]
    assert [choice["allOf"][1]["$ref"] for choice in choices] == [
        "#/components/schemas/Unknown",
        "#/components/schemas/Gone",
    ]


def test_members_behind_the_gateway_appear_only_when_asked_for(description: Description) -> None:
    everything = openapi(description, "1", exposed_only=False)
    assert "/inside" in msgspec.json.encode(everything).decode()
    assert "/inside" not in msgspec.json.encode(openapi(description, "1")).decode()


def test_it_says_what_a_caller_needs(description: Description) -> None:
    issuer = IssuerData("https://login.example", "shop", url="https://login.example/keys")
    keys = ApiKeysData(SecretData("api-keys", "value"), "x-api-key", {})
    contract = description.contracts[0]
    first, *others = contract.operations
    scoped = msgspec.structs.replace(first, scopes=("a", "b"))
    public = [msgspec.structs.replace(each, public=True) for each in others]
    changed = msgspec.structs.replace(contract, operations=(scoped, *public))
    gateway = GatewayData(tuple(each.name for each in description.members), 8080, (issuer,), keys)
    known = msgspec.structs.replace(description, contracts=(changed, *description.contracts[1:]), gateway=gateway)
    document = openapi(known, "1.0")
    OpenAPIV31SpecValidator(document).validate()
    paths = cast("dict[str, dict[str, Any]]", document["paths"])
    assert paths[first.path][first.method.lower()]["security"] == [{"token": ["a", "b"]}, {"key": ["a", "b"]}]
    assert [paths[each.path][each.method.lower()]["security"] for each in others] == [[] for _ in others]
    schemes = cast("dict[str, Any]", document["components"])["securitySchemes"]
    assert schemes["key"] == {"type": "apiKey", "in": "header", "name": "x-api-key"}
    assert schemes["token"]["scheme"] == "bearer"
