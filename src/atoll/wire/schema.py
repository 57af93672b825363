"""JSON Schema (2020-12) of the types that travel."""

from collections.abc import Iterable
from typing import Protocol, cast

import msgspec

from atoll.model.types import bare, is_pydantic

Schema = dict[str, object]

REFERENCE = "#/components/schemas/{name}"


class _Model(Protocol):
    """The part of a pydantic model that is used here."""

    @classmethod
    def model_json_schema(cls, *, ref_template: str) -> Schema: ...


def schemas(types: Iterable[object]) -> tuple[list[Schema], dict[str, Schema]]:
    """The schema of each type, in their order, and the named ones that they refer to, sorted by name."""
    listed = list(types)
    inner: dict[str, Schema] = {}

    def of_custom(kind: type) -> Schema:
        return _pydantic(kind, inner)

    plain = [kind for kind in listed if not is_pydantic(bare(kind))]
    made, components = msgspec.json.schema_components(plain, schema_hook=of_custom, ref_template=REFERENCE)
    ready = iter(made)
    found = [_pydantic(cast(type, bare(kind)), inner) if is_pydantic(bare(kind)) else next(ready) for kind in listed]
    named = {**components, **inner}
    return found, {name: named[name] for name in sorted(named)}


def _pydantic(kind: type, components: dict[str, Schema]) -> Schema:
    """A reference to a pydantic model, whose own schema goes to the components."""
    if not is_pydantic(kind):
        raise NotImplementedError(kind)  # msgspec's way to hear that this is not ours
    schema = cast(type[_Model], kind).model_json_schema(ref_template=REFERENCE)
    definitions = cast(dict[str, Schema], schema.pop("$defs", {}))
    components.update(definitions)
    components[kind.__name__] = schema
    return {"$ref": REFERENCE.format(name=kind.__name__)}


def without_empty(row: Schema) -> Schema:
    """The row without what says nothing."""
    return {name: value for name, value in row.items() if value not in ("", None, [])}
