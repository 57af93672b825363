"""What a new version of a contract or a topic breaks for a consumer that was built with another one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from atoll.wire.description import ContractData, OperationData
from atoll.wire.schema import Schema

Schemas = Mapping[str, Schema]
_PREFIX = "#/components/schemas/"


def breaks(used: ContractData, known: Schemas, served: ContractData | None, schemas: Schemas) -> list[str]:
    """Sentences with method and field, [] if every call of the consumer is still answered as it expects.

    used, known: the contract as the consumer has it, and its schemas. served, schemas: what is to be deployed.
    """
    if served is None:
        return [f"{used.name} is not served"]
    now = {each.name: each for each in served.operations}
    # Who receives expects: the new server what the consumer sends, the consumer what the new server answers.
    sent = _Comparison(schemas, known, "wants")
    answered = _Comparison(known, schemas, "lacks")
    found: list[str] = []
    for before in used.operations:
        after = now.get(before.name)
        name = f"{used.name}.{before.name}"
        if after is None:
            found.append(f"{name} is missing")
            continue
        found += [f"{name} {text}" for text in _interface(before, after)]
        found += [f"{name} {text}" for text in _request(before, after, sent)]
        found += [f"{name} {text}" for text in _answer(before, after, answered)]
    return found


def unreadable(topic: str, known: Schema, expected: Schemas, sent: Schema, schemas: Schemas) -> list[str]:
    """Sentences with topic and field, [] if a consumer reads each event as it expects.

    known, expected: the events as the consumer has them, and its schemas. sent, schemas: as they are to be published.
    """
    received = _Comparison(expected, schemas, "lacks")
    return [f"{topic} {text}" for text in received.differences("event", known, sent)]


def _interface(before: OperationData, after: OperationData) -> Iterator[str]:
    if (before.method, before.path) != (after.method, after.path):
        yield f"is {after.method} {after.path} instead of {before.method} {before.path}"
    if before.streams != after.streams:
        yield "streams its answers" if after.streams else "does not stream its answers"
    if new := set(after.scopes) - set(before.scopes):
        yield f"asks for the scopes {', '.join(sorted(new))}"
    statuses = {each.name: each.status for each in after.faults}
    for fault in before.faults:
        # One that is not declared any more arrives as CallFailed, which every caller has to expect.
        if statuses.get(fault.name, fault.status) != fault.status:
            yield f"raises {fault.name} with status {statuses[fault.name]} instead of {fault.status}"


def _request(before: OperationData, after: OperationData, sent: "_Comparison") -> Iterator[str]:
    known = {each.name: each for each in before.parameters}
    for each in after.parameters:
        if each.name in known:
            yield from sent.differences(each.name, each.schema, known[each.name].schema)
        elif each.required:
            yield f"wants the parameter {each.name}"
    if after.body and before.body:
        yield from sent.differences(after.body.name, after.body.schema, before.body.schema)
    elif after.body and after.body.required:
        yield f"wants the parameter {after.body.name}"


def _answer(before: OperationData, after: OperationData, answered: "_Comparison") -> Iterator[str]:
    if before.returns is not None and after.returns is None:
        yield "answers nothing"
    if before.returns is not None and after.returns is not None:
        yield from answered.differences("answer", before.returns, after.returns)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Between what is expected and what is given. lacks: how to say that a field which is expected is not given."""

    expecting: Schemas
    giving: Schemas
    lacks: str

    def differences(self, where: str, expected: object, given: object, inside: tuple[str, ...] = ()) -> Iterator[str]:
        """Why what is given may be something that is not expected."""
        name = _reference(expected)
        if name and name in inside:
            return  # a type that holds itself was looked at already
        within = (*inside, name) if name else inside
        wanted, has = _resolved(expected, self.expecting), _resolved(given, self.giving)
        if not wanted:
            return  # anything will do
        if _choices(wanted) or _choices(has):
            yield from self._union(where, wanted, has, within)
            return
        kinds = (_shown(wanted), _shown(has))
        if wanted.get("type") != has.get("type") and kinds != ("number", "integer"):
            yield f"has {kinds[1]} at {where}, not {kinds[0]}"
            return
        yield from self._values(where, wanted, has)
        if "items" in wanted and "items" in has:
            yield from self.differences(f"{where}[]", wanted["items"], has["items"], within)
        yield from self._fields(where, wanted, has, within)

    def _values(self, where: str, wanted: Schema, has: Schema) -> Iterator[str]:
        allowed, possible = _list(wanted, "enum"), _list(has, "enum")
        if not allowed:
            return
        more = [str(each) for each in possible if each not in allowed]
        if more or not possible:
            yield f"may have {', '.join(more) or 'any value'} at {where}"

    def _fields(self, where: str, wanted: Schema, has: Schema, inside: tuple[str, ...]) -> Iterator[str]:
        expected, given = _properties(wanted), _properties(has)
        always = _list(has, "required")
        for name in _list(wanted, "required"):
            if name not in given:
                yield f"{self.lacks} the field {where}.{name}"
            elif name not in always:
                yield (
                    f"may have no field {where}.{name}" if self.lacks == "lacks" else f"wants the field {where}.{name}"
                )
        for name, schema in expected.items():
            if name in given:
                yield from self.differences(f"{where}.{name}", schema, given[name], inside)

    def _union(self, where: str, wanted: Schema, has: Schema, inside: tuple[str, ...]) -> Iterator[str]:
        """Each alternative that is given has to be one of those expected."""
        expected = _choices(wanted) or [wanted]
        for each in _choices(has) or [has]:
            if all(any(self.differences(where, choice, each, inside)) for choice in expected):
                yield f"has {_shown(_resolved(each, self.giving))} at {where}, which is not expected"


def _reference(schema: object) -> str:
    return str(schema.get("$ref", "")) if isinstance(schema, dict) else ""


def _resolved(schema: object, schemas: Schemas) -> Schema:
    name = _reference(schema).removeprefix(_PREFIX)
    if name:
        return schemas.get(name, {})
    return schema if isinstance(schema, dict) else {}


def _choices(schema: Schema) -> list[object]:
    return _list(schema, "anyOf") or _list(schema, "oneOf")


def _list(schema: Schema, name: str) -> list[object]:
    value = schema.get(name)
    return list(value) if isinstance(value, list | tuple) else []


def _properties(schema: Schema) -> dict[str, object]:
    value = schema.get("properties")
    return value if isinstance(value, dict) else {}


def _shown(schema: Schema) -> str:
    return str(schema.get("type", "another type"))
