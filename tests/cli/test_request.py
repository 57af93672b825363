"""Requests made from what was typed."""

import json

import pytest

from atoll.cli.request import find_operation, request_of
from atoll.errors import AtollError
from atoll.wire.description import OperationData, ParameterData
from atoll.wire.schema import Schema
from tests.supervisor.described import sample

SCHEMAS: dict[str, Schema] = {
    "Order": {
        "type": "object",
        "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}, "tags": {"type": "array"}},
    }
}


def operation(path: str = "/", body: bool = False, **sources: str) -> OperationData:
    parameters = tuple(
        ParameterData(name, source.removesuffix("?"), not source.endswith("?"), {"type": "string"})  # type: ignore[arg-type]
        for name, source in sources.items()
    )
    wanted = ParameterData("order", "body", True, {"$ref": "#/components/schemas/Order"}) if body else None
    return OperationData("place", "POST", path, 200, False, False, False, parameters, wanted, None, (), "")


def test_path_parameters_are_quoted_and_query_parameters_may_come_twice() -> None:
    found = request_of(operation("/a/{name}", name="path", tag="query?"), {}, ["name=x/y z", "tag=1", "tag=2"])
    assert (found.method, found.path, found.body) == ("POST", "/a/x%2Fy%20z?tag=1&tag=2", None)


def test_other_names_are_fields_of_the_body_with_the_types_it_declares() -> None:
    found = request_of(operation(body=True), SCHEMAS, ["sku=007", "count=7", 'tags=["a"]'])
    assert found.body is not None
    assert json.loads(found.body) == {"sku": "007", "count": 7, "tags": ["a"]}


def test_the_whole_body_can_be_given_by_its_own_name() -> None:
    assert request_of(operation(body=True), SCHEMAS, ['order={"sku": "x"}']).body == b'{"sku": "x"}'


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["name"], "it is not NAME=VALUE"),
        ([], "the path needs it"),
        (["name=x", "nmae=y"], "place has no such parameter"),
    ],
)
def test_what_fits_nothing_is_refused_with_what_there_is(typed: list[str], says: str) -> None:
    with pytest.raises(AtollError, match=says):
        request_of(operation("/{name}", name="path"), {}, typed)


def test_an_unknown_field_is_refused_with_the_fields_there_are() -> None:
    with pytest.raises(AtollError) as caught:
        request_of(operation(body=True), SCHEMAS, ["cuont=7"])
    assert caught.value.problems[0].has[:2] == ("sku", "count")


def test_an_operation_is_found_by_service_and_method() -> None:
    assert find_operation(sample(), "counter.value")[1].path == "/counts/{name}"
    with pytest.raises(AtollError) as caught:
        find_operation(sample(), "counter.vlaue")
    assert caught.value.problems[0].has[0] == "counter.value"
