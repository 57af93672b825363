"""Rows become values of the type that the caller asks for."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Protocol, TypeVar, cast, get_origin

import asyncpg
import msgspec

from atoll.errors import ROW_UNREADABLE, QueryFailed
from atoll.model.contract import type_name
from atoll.model.types import is_pydantic
from atoll.runtime.database.errors import place_outside

T = TypeVar("T")
Read = Callable[[asyncpg.Record], object]

MOST_TYPES = 1_000
"""Types whose readers are remembered; a program that makes up more pays for each again."""


class _Model(Protocol):
    """The part of a pydantic model that is used here."""

    @classmethod
    def model_validate(cls, value: object) -> object: ...


class Readers:
    """One prepared reader for each type."""

    def __init__(self) -> None:
        self._readers: dict[object, Read] = {}

    def row(self, into: type[T], row: asyncpg.Record) -> T:
        """A struct, dataclass, pydantic model or dict from the columns by name; anything else from the only column.

        Raises QueryFailed when a column is missing or has a value of another type.
        """
        reader = self._readers.get(into) or self._prepare(into)
        try:
            return cast(T, reader(row))
        except (ValueError, TypeError) as error:
            raise _unreadable(into, str(error)) from error

    def rows(self, into: type[T], rows: list[asyncpg.Record]) -> list[T]:
        """The same for many."""
        reader = self._readers.get(into) or self._prepare(into)
        try:
            return [cast(T, reader(row)) for row in rows]
        except (ValueError, TypeError) as error:
            raise _unreadable(into, str(error)) from error

    def value(self, into: type[T], value: object) -> T | None:
        """One column's value; None is NULL."""
        if value is None or type(value) is into:
            return value
        try:
            return msgspec.convert(value, into)
        except (ValueError, TypeError) as error:
            raise _unreadable(into, str(error)) from error

    def _prepare(self, into: type[object]) -> Read:
        if len(self._readers) >= MOST_TYPES:
            self._readers.clear()
        reader = self._readers[into] = reader_of(into)
        return reader


def reader_of(into: type[object]) -> Read:
    """The function that makes this type of a row. It raises ValueError or TypeError."""
    if is_pydantic(into):
        return lambda row: cast(type[_Model], into).model_validate(dict(row))
    root = get_origin(into) or into
    if isinstance(root, type) and issubclass(root, Mapping):
        return lambda row: msgspec.convert(dict(row), into)
    names = _column_names(root)
    if names is None:
        return lambda row: _only_column(into, row)
    if names:
        return lambda row: msgspec.convert({names.get(name, name): value for name, value in row.items()}, into)
    return lambda row: msgspec.convert(dict(row), into)


def _column_names(into: object) -> dict[str, str] | None:
    """What msgspec calls the columns whose field it renames in JSON; None if the type has no fields at all."""
    if isinstance(into, type) and issubclass(into, msgspec.Struct):
        pairs = zip(into.__struct_fields__, into.__struct_encode_fields__, strict=True)
        return {field: encoded for field, encoded in pairs if field != encoded}
    return {} if is_dataclass(into) else None


def _only_column(into: type[object], row: asyncpg.Record) -> object:
    if len(row) != 1:
        raise ValueError(f"the row has {len(row)} columns: {', '.join(row.keys())}")
    return msgspec.convert(row[0], into)


def _unreadable(into: object, reason: str) -> QueryFailed:
    return QueryFailed(ROW_UNREADABLE.at(place_outside(), type=type_name(into), reason=reason))
