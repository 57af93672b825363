"""A file's tables against the structs that they become: all mistakes at once, where decoding stops at the first."""

import types
from collections.abc import Iterator, Mapping
from typing import TypeVar, get_args, get_origin

import msgspec

from atoll.errors import BAD_ENVIRONMENT, Problem
from atoll.kubernetes.written import Written, shown
from atoll.model.suggest import nearest

S = TypeVar("S", bound=msgspec.Struct)
_LEFT_OUT = object()
_WORDS: Mapping[object, str] = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def structured(table: object, kind: type[S], written: Written) -> tuple[S, dict[str, Problem]]:
    """What a TOML file holds, without what is wrong: names that no struct has, and values of other types.

    So what is right can be judged further. The problems are by their entries.
    """
    problems: dict[str, Problem] = {}
    sound = _sound(table, kind, "", written, problems)
    return msgspec.convert({} if sound is _LEFT_OUT else sound, kind), problems


def _sound(value: object, kind: object, path: str, written: Written, problems: dict[str, Problem]) -> object:
    """The value as it may be converted, or _LEFT_OUT."""
    struct = kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    if struct is None and get_origin(kind) is not dict:
        return _leaf(value, kind, path, written, problems)
    if not isinstance(value, dict):
        reason, do = f"is {shown(path, value)}, no table", f"write it as a table, [{path}]"
        problems[path] = BAD_ENVIRONMENT.at(written.at(path), entry=path, reason=reason, do=do)
        return _LEFT_OUT
    found = dict(_members(value, kind if struct is None else struct, path, written, problems))
    return {name: inner for name, inner in found.items() if inner is not _LEFT_OUT}


def _members(
    table: dict[str, object], kind: object, path: str, written: Written, problems: dict[str, Problem]
) -> Iterator[tuple[str, object]]:
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    known = {each.encode_name: each.type for each in msgspec.structs.fields(kind)} if is_struct else {}  # type: ignore[arg-type]
    for name, value in table.items():
        entry = f"{path}.{name}" if path else name
        if not is_struct or name in known:
            inner = known[name] if is_struct else get_args(kind)[1]
            yield name, _sound(value, inner, entry, written, problems)
        else:
            reason = f"is no entry of [{path}]" if path else "is no entry of an environment"
            has, do = nearest(name, known), "correct the name, or remove it"
            problems[entry] = BAD_ENVIRONMENT.at(written.at(entry), has=has, entry=entry, reason=reason, do=do)


def _leaf(value: object, kind: object, path: str, written: Written, problems: dict[str, Problem]) -> object:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # Of a table, which may be right in part, the decoder knows more.
        why = str(error) if isinstance(value, dict) else f"expected {worded(kind)}"
        reason = f"is {shown(path, value)}: {why[0].lower()}{why[1:]}"
        problems[path] = BAD_ENVIRONMENT.at(written.at(path), entry=path, reason=reason, do="correct it")
        return _LEFT_OUT
    return value


def worded(kind: object) -> str:
    """The type of an entry, as docs/reference/environments.md calls it."""
    if kind in _WORDS:
        return _WORDS[kind]
    if isinstance(kind, types.UnionType):
        return " or ".join(worded(each) for each in get_args(kind) if each is not types.NoneType)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "table"
    if get_origin(kind) is dict:
        return f"table of {worded(get_args(kind)[1])}"
    first, last = get_args(kind)
    return f"list of {worded(first)}" if last is Ellipsis else "[least, most]"
