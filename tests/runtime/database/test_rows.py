"""What comes out of real PostgreSQL is what the type says, or an error that tells why not."""

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pydantic
import pytest

from atoll.errors import QueryFailed
from atoll.runtime.database.database import PostgresDatabase


class Size(enum.StrEnum):
    SMALL = "small"
    LARGE = "large"


class Line(msgspec.Struct):
    sku: str
    quantity: int


class Product(msgspec.Struct, rename="camel"):
    id: UUID
    product_name: str
    price: Decimal
    size: Size
    lines: list[Line]
    tags: tuple[str, ...]
    seen: datetime
    due: date | None
    at: time
    wait: timedelta
    photo: bytes
    weight: float


@dataclass
class Pair:
    id: int
    name: str = "nobody"


class Model(pydantic.BaseModel):
    id: int
    name: str


PRODUCT = """
SELECT '0af76519-16cd-43dd-8448-eb211c80319c'::uuid AS id, 'Lamp' AS product_name, 12.50::numeric AS price,
    'small' AS size, '[{"sku": "a", "quantity": 2}]'::jsonb AS lines, ARRAY['x', 'y'] AS tags,
    '2026-11-23T22:00:00Z'::timestamptz AS seen, NULL::date AS due, '08:30'::time AS at, '90 s'::interval AS wait,
    '\\x00ff'::bytea AS photo, 1.5::numeric AS weight, 'more' AS than_asked_for
"""


@pytest.fixture
async def table(database: PostgresDatabase) -> PostgresDatabase:
    await database.execute("CREATE TABLE people (id int PRIMARY KEY, name text, about jsonb, old json)")
    return database


async def test_a_row_becomes_a_struct_by_its_column_names(database: PostgresDatabase) -> None:
    product = await database.one(Product, PRODUCT)
    assert product == Product(
        id=UUID("0af76519-16cd-43dd-8448-eb211c80319c"),
        product_name="Lamp",
        price=Decimal("12.50"),
        size=Size.SMALL,
        lines=[Line("a", 2)],
        tags=("x", "y"),
        seen=datetime(2026, 11, 23, 22, tzinfo=UTC),
        due=None,
        at=time(8, 30),
        wait=timedelta(seconds=90),
        photo=b"\x00\xff",
        weight=1.5,
    )
    assert str(product.price) == "12.50"


@pytest.mark.parametrize(
    ("into", "expected"),
    [(Pair, Pair(1, "Ada")), (Model, Model(id=1, name="Ada")), (dict[str, object], {"id": 1, "name": "Ada"})],
)
async def test_rows_become_dataclasses_models_and_dicts(
    database: PostgresDatabase, into: type[object], expected: object
) -> None:
    assert await database.one(into, "SELECT 1 AS id, 'Ada' AS name") == expected
    assert await database.all(into, "SELECT 1 AS id, 'Ada' AS name") == [expected]


async def test_a_field_with_a_default_may_lack_its_column(database: PostgresDatabase) -> None:
    assert await database.one(Pair, "SELECT 1 AS id") == Pair(1, "nobody")


async def test_a_row_of_one_column_becomes_a_plain_value(database: PostgresDatabase) -> None:
    assert await database.one(int, "SELECT 7") == 7
    assert await database.all(Size, "SELECT unnest(ARRAY['small', 'large'])") == [Size.SMALL, Size.LARGE]
    assert await database.all(list[int], "SELECT ARRAY[1, 2]") == [[1, 2]]


async def test_a_value_is_of_the_type_asked_for(database: PostgresDatabase) -> None:
    assert await database.value(Decimal, "SELECT 3") == Decimal(3)
    assert await database.value(Line, """SELECT '{"sku": "a", "quantity": 1}'::jsonb""") == Line("a", 1)
    assert await database.value(Size, "SELECT 'large'") is Size.LARGE
    assert await database.value(int, "SELECT NULL") is None


async def test_no_row_is_none_and_an_empty_list(database: PostgresDatabase) -> None:
    nothing = "SELECT 1 AS id WHERE false"
    assert await database.one(Pair, nothing) is None
    assert await database.value(int, nothing) is None
    assert await database.all(Pair, nothing) == []


async def test_what_json_columns_take_they_give_back(table: PostgresDatabase) -> None:
    # Given each kind of value that has a form in JSON
    for number, about in enumerate([Line("a", 1), Pair(1), Model(id=1, name="Ada"), {"a": [1, None]}, "text", 5, None]):
        await table.execute("INSERT INTO people (id, about, old) VALUES ($1, $2, $3)", number, about, about)
    # Then jsonb and json give plain values back, and None is NULL
    rows = await table.all(dict[str, object], "SELECT about, old FROM people ORDER BY id")
    assert [row["about"] for row in rows] == [
        *({"sku": "a", "quantity": 1}, {"id": 1, "name": "nobody"}, {"id": 1, "name": "Ada"}),
        *({"a": [1, None]}, "text", 5, None),
    ]
    assert all(row["about"] == row["old"] for row in rows)


async def test_execute_says_how_many_rows_it_touched(table: PostgresDatabase) -> None:
    assert await table.execute("INSERT INTO people (id) SELECT generate_series(1, 3)") == 3
    assert await table.execute("INSERT INTO people (id) VALUES ($1) ON CONFLICT DO NOTHING", 1) == 0
    assert await table.execute("UPDATE people SET name = $1 WHERE id > 1", "Ada") == 2
    assert await table.execute("DELETE FROM people") == 3
    assert await table.execute("CREATE INDEX ON people (name)") == 0


async def test_an_enum_is_a_parameter_like_its_text(database: PostgresDatabase) -> None:
    assert await database.value(str, "SELECT $1::text", Size.LARGE) == "large"


@pytest.mark.parametrize(
    ("into", "sql", "reason"),
    [
        (Pair, "SELECT 'a' AS name", "missing required field `id`"),
        (Pair, "SELECT 'x' AS id", "Expected `int`, got `str`"),
        (Pair, "SELECT NULL::int AS id", "Expected `int`, got `null`"),
        (Model, "SELECT 'x' AS id, 'y' AS name", "valid integer"),
        (int, "SELECT 1, 2", "the row has 2 columns"),
        (Size, "SELECT 'huge'", "Invalid enum value"),
    ],
)
async def test_a_row_that_does_not_fit_its_type_says_why_and_where(
    database: PostgresDatabase, into: type[object], sql: str, reason: str
) -> None:
    with pytest.raises(QueryFailed) as failed:
        await database.one(into, sql)
    with pytest.raises(QueryFailed):
        await database.all(into, sql)
    (problem,) = failed.value.problems
    assert problem.code == "ATL3204"
    assert reason in problem.sentence
    assert problem.place.startswith(__file__)


async def test_a_value_that_does_not_fit_its_type_says_so(database: PostgresDatabase) -> None:
    with pytest.raises(QueryFailed, match="ATL3204"):
        await database.value(int, "SELECT 'x'")
