"""A system's HTTP interface as an OpenAPI 3.1 document."""

from collections.abc import Mapping

import msgspec

from atoll.wire.description import (
    ContractData,
    Description,
    FaultData,
    GatewayData,
    MemberData,
    OperationData,
    ParameterData,
)
from atoll.wire.schema import Schema, without_empty

PROBLEM: Mapping[str, object] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "trace_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
                "required": ["path", "message"],
            },
        },
    },
    "required": ["type", "title", "status"],
}


def openapi(description: Description, version: str, *, exposed_only: bool = True) -> Schema:
    """The document: an operation per route, faults as problem responses, the same bytes for the same system.

    version: of the interface, for its `info`.
    exposed_only: what the gateway offers; otherwise every contract that a member serves.
    """
    paths: dict[str, dict[str, Schema]] = {}
    tags: list[Schema] = []
    for member, contract in _served(description, exposed_only):
        tags.append(without_empty({"name": member.name, "description": contract.doc}))
        for operation in contract.operations:
            made = _operation(member, operation)
            required = _security(description.gateway, member, operation)
            paths.setdefault(operation.path, {})[operation.method.lower()] = {**made, **required}
    return {
        "openapi": "3.1.0",
        "info": {"title": description.name, "version": version},
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {"schemas": {**description.schemas, "Problem": PROBLEM}, **_schemes(description.gateway)},
        "tags": list({str(tag["name"]): tag for tag in tags}.values()),
    }


def _served(description: Description, exposed_only: bool) -> list[tuple[MemberData, ContractData]]:
    """Members and the contracts they serve, in the order of the declaration; each contract once."""
    exposed = set(description.gateway.expose) if description.gateway else set[str]()
    found: dict[str, tuple[MemberData, ContractData]] = {}
    for member in description.members:
        if member.kind == "external" or (exposed_only and member.name not in exposed):
            continue
        for target in member.contracts:
            contract = description.contract(target)
            if contract is not None:
                found.setdefault(target, (member, contract))
    return list(found.values())


_TOKEN, _KEY = "token", "key"


def _schemes(gateway: GatewayData | None) -> Schema:
    """How callers make themselves known."""
    found: dict[str, Schema] = {}
    if gateway and gateway.issuers:
        found[_TOKEN] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    if gateway and gateway.api_keys:
        found[_KEY] = {"type": "apiKey", "in": "header", "name": gateway.api_keys.header}
    return {"securitySchemes": found} if found else {}


def _security(gateway: GatewayData | None, member: MemberData, operation: OperationData) -> Schema:
    """What a caller needs: a token or a key with the scopes. Of a public operation, nothing."""
    schemes = _schemes(gateway)
    if gateway is None or not schemes:
        return {}
    if (operation.public or member.name in gateway.public) and not operation.scopes:
        return {"security": []}
    names = schemes["securitySchemes"]
    assert isinstance(names, dict)
    return {"security": [{name: list(operation.scopes)} for name in names]}


def _operation(member: MemberData, operation: OperationData) -> Schema:
    summary, _, text = operation.doc.partition("\n")
    return without_empty(
        {
            # The member's name and the method's: stays when contracts or paths are moved.
            "operationId": f"{member.name}.{operation.name}",
            "summary": summary,
            "description": text.strip(),
            "tags": [member.name],
            "parameters": [_parameter(parameter) for parameter in operation.parameters]
            + ([IDEMPOTENCY_KEY] if operation.idempotency_key else []),
            "requestBody": _body(operation.body) if operation.body else None,
            "responses": _responses(operation),
        }
    )


IDEMPOTENCY_KEY: Mapping[str, object] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Chosen by the client; the same key gives the same answer, and the work is done once.",
    "schema": {"type": "string", "maxLength": 255},
}


def _parameter(parameter: ParameterData) -> Schema:
    schema = dict(parameter.schema)
    if not parameter.required:
        schema["default"] = msgspec.json.decode(parameter.default)
    return {
        "name": parameter.name,
        "in": parameter.source,
        "required": parameter.required or parameter.source == "path",
        "schema": schema,
    }


def _body(body: ParameterData) -> Schema:
    return {"required": body.required, "content": {"application/json": {"schema": body.schema}}}


def _responses(operation: OperationData) -> Schema:
    success: Schema = {"description": "Success"}
    if operation.returns is not None:
        media = "text/event-stream" if operation.streams else "application/json"
        success["content"] = {media: {"schema": operation.returns}}
    by_status: dict[int, list[FaultData]] = {}
    for fault in operation.faults:
        by_status.setdefault(fault.status, []).append(fault)
    faults = {str(status): _faults(by_status[status]) for status in sorted(by_status)}
    other: Schema = {"description": "Any other problem", "content": _problem({"$ref": "#/components/schemas/Problem"})}
    return {str(operation.status): success, **faults, "default": other}


def _faults(faults: list[FaultData]) -> Schema:
    """The problem document of one status; its `type` tells the faults apart where there are several."""
    general = {"$ref": "#/components/schemas/Problem"}
    schemas: list[Schema] = [{"allOf": [general, fault.schema]} for fault in faults]
    described = "; ".join(fault.doc or fault.name for fault in faults)
    return {"description": described, "content": _problem(schemas[0] if len(schemas) == 1 else {"oneOf": schemas})}


def _problem(schema: Schema) -> Schema:
    return {"application/problem+json": {"schema": schema}}
