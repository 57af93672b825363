"""Which types may travel as JSON."""

import dataclasses
from types import UnionType
from typing import Annotated, Union, cast, get_args, get_origin

import msgspec


def is_pydantic(kind: object) -> bool:
    """Whether it is a pydantic model; told by its interface, for atoll does not depend on pydantic."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_json_schema")


def is_body(kind: object) -> bool:
    """Whether a parameter of this type is the JSON body: a struct, dataclass or pydantic model, or made of them."""
    kind = bare(kind)
    if isinstance(kind, type) and not get_args(kind):
        return is_pydantic(kind) or issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(cast(object, kind))
    members = [member for member in get_args(kind) if member not in (type(None), ...)]
    if get_origin(kind) in (Union, UnionType):
        return bool(members) and all(is_body(member) for member in members)
    return any(is_body(member) for member in members)


def bare(kind: object) -> object:
    """The type without its Annotated."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def why_unreadable(kind: object) -> str:
    """Why values of this type can't travel as JSON; "" if they can."""
    try:
        root = msgspec.inspect.type_info(kind)
        # Building a decoder finds unions that can't be told apart.
        msgspec.json.Decoder(kind)
    except (TypeError, NameError, AttributeError, ValueError, RuntimeError) as error:
        return str(error).partition("\n")[0]
    seen: set[int] = set()
    return _why(root, seen)


def _why(info: msgspec.inspect.Type, seen: set[int]) -> str:
    if id(info) in seen:
        return ""
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        if is_pydantic(info.cls):
            return ""
        return f"{getattr(info.cls, '__name__', info.cls)} is a class that JSON has no form for"
    if isinstance(info, msgspec.inspect.DataclassType) and issubclass(info.cls, BaseException):
        return f"{info.cls.__name__} is an exception: name it in raises=[...]"
    for child in _children(info):
        why = _why(child, seen)
        if why:
            return why
    return ""


def _children(info: msgspec.inspect.Type) -> list[msgspec.inspect.Type]:
    """The types inside a type: fields, items, keys, values, members of a union."""
    found: list[msgspec.inspect.Type] = []
    for name in getattr(info, "__struct_fields__", ()):
        value: object = getattr(info, name)
        for item in cast(tuple[object, ...], value) if isinstance(value, tuple) else (value,):
            if isinstance(item, msgspec.inspect.Type):
                found.append(item)
            elif isinstance(item, msgspec.inspect.Field):
                found.append(item.type)
    return found


def field_names(value: object) -> tuple[str, ...]:
    """The fields of a struct or dataclass, or of an instance of one; () for anything else."""
    if dataclasses.is_dataclass(value):
        return tuple(known.name for known in dataclasses.fields(value))
    return tuple(cast(tuple[str, ...], getattr(value, "__struct_fields__", ())))
