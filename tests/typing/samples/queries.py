"""Rows come back as the type that was asked for."""

from dataclasses import dataclass
from typing import assert_type

from atoll import Database


@dataclass(frozen=True)
class Row:
    id: int
    name: str


async def read(database: Database) -> None:
    assert_type(await database.one(Row, "SELECT id, name FROM rows WHERE id = $1", 1), Row | None)
    assert_type(await database.all(Row, "SELECT id, name FROM rows LIMIT 10"), list[Row])
    assert_type(await database.value(int, "SELECT count(*) FROM rows"), int | None)
    assert_type(await database.execute("DELETE FROM rows"), int)
    async with database.transaction() as tx:
        assert_type(await tx.one(Row, "SELECT id, name FROM rows"), Row | None)
    row = await database.one(Row, "SELECT id, name FROM rows")
    print(row.name)  # expect: union-attr | reportOptionalMemberAccess
    await database.one("SELECT 1")  # expect: call-arg arg-type | reportArgumentType reportCallIssue
