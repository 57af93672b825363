"""A file's tables against the structs that they become: all mistakes at once, where decoding stops at the first."""

from collections.abc import Iterator
from typing import get_args, get_origin

import msgspec

from atoll.errors import BAD_ENVIRONMENT, Problem
from atoll.model.suggest import nearest


def structure_problems(table: object, kind: type[msgspec.Struct], file: str) -> list[Problem]:
    """Of what a TOML file holds: names that no struct has, and values of other types."""
    return list(_walk(table, kind, "", file))


def _walk(value: object, kind: object, path: str, file: str) -> Iterator[Problem]:
    struct = kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    if struct is None and get_origin(kind) is not dict:
        yield from _leaf(value, kind, path, file)
    elif not isinstance(value, dict):
        do = f"write it as a table, [{path}]"
        yield BAD_ENVIRONMENT.at(file, entry=path, reason=f"is {value!r}, no table", do=do)
    elif struct is not None:
        yield from _fields(value, struct, path, file)
    else:
        _, each = get_args(kind)
        for name, inner in value.items():
            yield from _walk(inner, each, _below(path, name), file)


def _fields(table: dict[str, object], kind: type[msgspec.Struct], path: str, file: str) -> Iterator[Problem]:
    known = {each.name: each.type for each in msgspec.structs.fields(kind)}
    for name, value in table.items():
        if name in known:
            yield from _walk(value, known[name], _below(path, name), file)
        else:
            reason = f"is no entry of [{path}]" if path else "is no entry of an environment"
            yield BAD_ENVIRONMENT.at(
                file,
                has=nearest(name, known),
                entry=_below(path, name),
                reason=reason,
                do="correct the name, or remove it",
            )


def _leaf(value: object, kind: object, path: str, file: str) -> Iterator[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        why = str(error)
        reason = f"is {value!r}: {why[0].lower()}{why[1:]}"
        yield BAD_ENVIRONMENT.at(file, entry=path, reason=reason, do="correct it")


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
