"""What senders name, by number: each table is bounded by its rows, and by the memory that they take."""

import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=tuple[object, ...])

_ENTRY = 128
"""Bytes of an entry of a dictionary beside its key."""

_NEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Kind:
    """A table of the schema. columns: those of a key, then others. used: which ids other tables refer to."""

    table: str
    columns: Sequence[str]
    key: int
    used: str


class Table(Generic[Key]):
    """The rows of one kind, all of which are held in memory. most: of them. room: bytes.

    There is one place more than `most`, for what stands for all further ones.
    """

    def __init__(self, database: sqlite3.Connection, kind: Kind, most: int, room: int) -> None:
        self._database, self._kind = database, kind
        self.most, self.room = most, room
        self._numbers: dict[tuple[object, ...], int] = {}
        self.held = 0
        self.load()

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def is_nearly_full(self) -> bool:
        return len(self) >= self.most * _NEARLY or self.held >= self.room * _NEARLY

    def get(self, key: Key) -> int:
        """Its number; 0 for none."""
        return self._numbers.get(key, 0)

    def add(self, key: Key, *others: object, always: bool = False) -> int:
        """Its new number, within the transaction that is open; 0 if there is no room. always: there is."""
        size = _size(key)
        if not always and (len(self) >= self.most or self.held + size > self.room):
            return 0
        values = (*key, *others)
        columns, marks = ", ".join(self._kind.columns), ", ".join("?" * len(values))
        sql = f"INSERT INTO {self._kind.table} ({columns}) VALUES ({marks}) RETURNING id"  # noqa: S608 (constants)
        number: int = self._database.execute(sql, values).fetchone()[0]
        self._numbers[key] = number
        self.held += size
        return number

    def load(self) -> None:
        """As it is stored: at first, and when numbers were given by what was undone."""
        columns = ", ".join(self._kind.columns[: self._kind.key])
        rows = self._database.execute(f"SELECT id, {columns} FROM {self._kind.table}")  # noqa: S608 (constants)
        self._numbers = {tuple(key): number for number, *key in rows}
        self.held = sum(map(_size, self._numbers))

    def forget_unused(self) -> bool:
        """Whether anything went."""
        sql = f"DELETE FROM {self._kind.table} WHERE id NOT IN ({self._kind.used})"  # noqa: S608 (constants)
        if not self._database.execute(sql).rowcount:
            return False
        self.load()
        return True


def _size(key: tuple[object, ...]) -> int:
    return _ENTRY + sys.getsizeof(key) + sum(map(sys.getsizeof, key))
