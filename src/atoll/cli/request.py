"""A request made from what was typed: names and values, guided by the operation's declaration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import msgspec

from atoll.errors import BAD_ARGUMENT, NO_SUCH_OPERATION
from atoll.model.suggest import nearest
from atoll.wire.description import Description, OperationData
from atoll.wire.schema import Schema


@dataclass(frozen=True, slots=True)
class Request:
    """path: with its query. body: None for none."""

    method: str
    path: str
    body: bytes | None


def find_operation(description: Description, name: str) -> tuple[str, OperationData]:
    """The member and its operation, of "catalog.product". Raises NO_SUCH_OPERATION."""
    service, _, method = name.partition(".")
    known: list[str] = []
    for member in description.members:
        for target in member.contracts:
            contract = description.contract(target)
            for operation in contract.operations if contract else ():
                known.append(f"{member.name}.{operation.name}")
                if member.name == service and operation.name == method:
                    return service, operation
    has = nearest(name, known)
    raise NO_SUCH_OPERATION.error(
        has=has, system=description.name, operation=name, example=has[0] if has else "catalog.product"
    )


def request_of(operation: OperationData, schemas: Mapping[str, Schema], typed: Sequence[str]) -> Request:
    """The request for name=value pairs; what is no parameter is a field of the body.

    Raises BAD_ARGUMENT at a pair that fits nothing, and for a parameter that is missing.
    """
    values, fields = _sorted(operation, typed)
    path, query = operation.path, list[tuple[str, str]]()
    for parameter in operation.parameters:
        given = values.get(parameter.name, [])
        if parameter.required and not given:
            raise BAD_ARGUMENT.error(
                argument=parameter.name,
                reason=f"the {parameter.source} needs it",
                do=f"add {parameter.name}=VALUE",
                has=_names(operation),
            )
        if parameter.source == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(given[-1], safe=""))
        else:
            query += [(parameter.name, value) for value in given]
    body = _body(operation, values, fields, schemas)
    return Request(operation.method, path + ("?" + urlencode(query) if query else ""), body)


def _sorted(operation: OperationData, typed: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The values of parameters, and the fields of the body."""
    values: dict[str, list[str]] = {}
    fields: dict[str, str] = {}
    names = {parameter.name for parameter in operation.parameters}
    for pair in typed:
        name, separator, value = pair.partition("=")
        if not separator:
            raise BAD_ARGUMENT.error(argument=pair, reason="it is not NAME=VALUE", do="write NAME=VALUE")
        if name in names or (operation.body and name == operation.body.name):
            values.setdefault(name, []).append(value)
        elif operation.body:
            fields[name] = value
        else:
            raise BAD_ARGUMENT.error(
                argument=name,
                reason=f"{operation.name} has no such parameter",
                do="correct the name",
                has=_names(operation),
            )
    return values, fields


def _body(
    operation: OperationData,
    values: Mapping[str, Sequence[str]],
    fields: Mapping[str, str],
    schemas: Mapping[str, Schema],
) -> bytes | None:
    if operation.body is None:
        return None
    whole = values.get(operation.body.name, [])
    if whole:
        return whole[-1].encode()
    if not fields and not operation.body.required:
        return None
    properties = _properties(operation.body.schema, schemas)
    unknown = [name for name in fields if properties and name not in properties]
    if unknown:
        raise BAD_ARGUMENT.error(
            argument=unknown[0],
            reason=f"{operation.body.name} has no such field",
            do="correct the name",
            has=(*properties, *_names(operation)),
        )
    return msgspec.json.encode({name: _value(text, properties.get(name), schemas) for name, text in fields.items()})


def _names(operation: OperationData) -> tuple[str, ...]:
    body = (operation.body.name,) if operation.body else ()
    return (*(parameter.name for parameter in operation.parameters), *body)


def _resolved(schema: object, schemas: Mapping[str, Schema]) -> Mapping[str, object]:
    """The schema itself, behind any reference."""
    while isinstance(schema, dict) and "$ref" in schema:
        schema = schemas.get(str(schema["$ref"]).rpartition("/")[2], {})
    return schema if isinstance(schema, dict) else {}


def _properties(schema: object, schemas: Mapping[str, Schema]) -> Mapping[str, object]:
    properties = _resolved(schema, schemas).get("properties", {})
    return properties if isinstance(properties, dict) else {}


def _value(text: str, schema: object, schemas: Mapping[str, Schema]) -> object:
    """A text stays one where the schema wants a text; otherwise it is JSON, if it can be read as that."""
    if _resolved(schema, schemas).get("type") == "string":
        return text
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value
