"""Gives numbers to what senders name; what is one too many is "(others)"."""

import sqlite3
import sys
from collections.abc import Callable, Iterator

from atoll.collector.arrivals import PointIn
from atoll.collector.limits import OTHERS, Limits, cut
from atoll.collector.tables import Kind, Table
from atoll.collector.values import Held

_NAMES = Kind("names", ("name",), 1, "SELECT name FROM contents")
_ERRORS = Kind("errors", ("message",), 1, "SELECT error FROM spans WHERE error != 0")
_SOURCES = Kind(
    "sources",
    ("service", "replica"),
    2,
    "SELECT source FROM series UNION SELECT source FROM contents UNION SELECT source FROM logs",
)
_SERIES = Kind("series", ("source", "name", "attributes", "kind", "unit"), 3, "SELECT series FROM points")

_SHORT = 256
"""Bytes of an encoded name that is worth remembering."""


class Naming:
    """Names, messages of errors, processes and series, each in a table of its own: none takes another's room.

    hit: told the limit that was reached.
    """

    def __init__(self, database: sqlite3.Connection, limits: Limits, hit: Callable[[str], None]) -> None:
        self._limits, self._hit = limits, hit
        room = limits.room
        self._names: Table[tuple[str]] = Table(database, _NAMES, limits.names, room)
        self._errors: Table[tuple[str]] = Table(database, _ERRORS, limits.errors, room)
        self._sources: Table[tuple[str, str]] = Table(database, _SOURCES, limits.sources, room)
        self._series: Table[tuple[int, str, str]] = Table(database, _SERIES, limits.series, room)
        self.encoded: dict[bytes, tuple[str, int]] = {}

    def name(self, encoded: bytes) -> tuple[str, int]:
        """A span's name as it is kept, and its number; `encoded` has those that came before, and were short."""
        name = self._cut(encoded.decode(errors="replace"))
        number = self._names.get((name,)) or self._names.add((name,))
        if not number:
            self._hit("names")
            # Not remembered: there may be room for it later.
            return OTHERS, self._others(self._names, (OTHERS,))
        if len(encoded) < _SHORT:
            if len(self.encoded) >= self._limits.names:
                self.encoded.clear()
            self.encoded[encoded] = name, number
        return name, number

    def error(self, message: str) -> int:
        """The number of what went wrong."""
        message = self._cut(message, self._limits.error)
        number = self._errors.get((message,)) or self._errors.add((message,))
        if not number:
            self._hit("errors")
            return self._others(self._errors, (OTHERS,))
        return number

    def source(self, service: str, replica: str) -> tuple[str, int]:
        """The service as it is kept, and the number of its process."""
        key = self._cut(service), self._cut(replica)
        number = self._sources.get(key) or self._sources.add(key)
        if not number:
            self._hit("sources")
            return OTHERS, self._others(self._sources, (OTHERS, OTHERS))
        # One text for all that refer to it, however many requests it came in.
        return sys.intern(key[0]), number

    def series(self, point: PointIn) -> int:
        """The number of a metric's series; 0 if there are too many."""
        _, source = self.source(point.service, point.replica)
        key = source, self._cut(point.name), point.attributes
        number = self._series.get(key) or self._series.add(key, point.kind, self._cut(point.unit))
        if not number:
            self._hit("series")
        return number

    @staticmethod
    def _others(table: Table[tuple[str]] | Table[tuple[str, str]], key: tuple[str, ...]) -> int:
        return table.get(key) or table.add(key, always=True)  # type: ignore[arg-type]

    def load(self) -> None:
        """A transaction was undone, or rows were deleted."""
        self.encoded.clear()
        for table in self._tables().values():
            table.load()

    def forget_unused(self) -> None:
        """What nothing that is stored refers to any more, where there is little room left."""
        for table in self._tables().values():
            if table.is_nearly_full and table.forget_unused():
                self.encoded.clear()

    @property
    def are_many_series(self) -> bool:
        return self._series.is_nearly_full

    def held(self) -> Iterator[Held]:
        """What each of them has in memory."""
        for name, table in self._tables().items():
            yield Held(name, len(table), table.most, table.held, table.room)

    def _tables(self) -> dict[str, "Table[tuple[str]] | Table[tuple[str, str]] | Table[tuple[int, str, str]]"]:
        # Series before sources, which they refer to.
        return {"names": self._names, "errors": self._errors, "series": self._series, "sources": self._sources}

    def _cut(self, text: str, most: int = 0) -> str:
        short = cut(text, most or self._limits.name)
        if short is not text:
            self._hit("text")
        return short
