"""Everything in a transaction happens, or nothing of it does, whatever ends it."""
# ruff: noqa: PT012 - what is to raise here is a whole block.

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

import pytest

from atoll.errors import (
    AtollError,
    ConstraintViolated,
    DatabaseError,
    DatabaseUnreachable,
    EventError,
    QueryFailed,
    QueryTimeout,
)
from atoll.model.resources import Topic
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.events.outbox import Outbox
from atoll.runtime.events.outgoing import Writer
from atoll.runtime.events.tables import EVENT_TABLES
from atoll.runtime.telemetry import Telemetry
from tests.runtime.database.parts import Admin, Begin, opened, running
from tests.waiting import eventually

renamed: Topic[str] = Topic("user-renamed", str)
removed: Topic[str] = Topic("user-removed", str)

Publishing: TypeAlias = tuple[PostgresDatabase, list[str]]


@pytest.fixture
async def names(database: PostgresDatabase) -> PostgresDatabase:
    await database.execute("CREATE TABLE names (name text PRIMARY KEY)")
    return database


async def stored(database: PostgresDatabase) -> list[str]:
    return await database.all(str, "SELECT name FROM names ORDER BY name")


async def test_what_is_done_in_the_block_is_seen_by_others_when_it_ends(names: PostgresDatabase) -> None:
    async with names.transaction() as tx:
        assert await tx.execute("INSERT INTO names VALUES ($1), ($2)", "Ada", "Bob") == 2
        assert await tx.value(int, "SELECT count(*) FROM names") == 2
        assert await tx.one(str, "SELECT name FROM names WHERE name = $1", "Ada") == "Ada"
        assert await tx.all(str, "SELECT name FROM names ORDER BY 1") == ["Ada", "Bob"]
        assert await stored(names) == []
    assert await stored(names) == ["Ada", "Bob"]


async def test_a_block_that_raises_leaves_nothing_and_its_error_is_the_one_that_is_seen(
    names: PostgresDatabase,
) -> None:
    with pytest.raises(LookupError, match="no such luck"):
        async with names.transaction() as tx:
            await tx.execute("INSERT INTO names VALUES ('Ada')")
            raise LookupError("no such luck")
    assert await stored(names) == []


async def test_a_block_that_is_cancelled_leaves_nothing_and_holds_no_lock(
    names: PostgresDatabase, admin: Admin
) -> None:
    async def slow() -> None:
        async with names.transaction() as tx:
            await tx.execute("INSERT INTO names VALUES ('Ada')")
            await tx.execute("/* in block */ SELECT pg_sleep(30)")

    task = asyncio.create_task(slow())
    await eventually(running(admin, "in block", 1))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The same key can be inserted, which would wait for as long as the first transaction lived.
    assert await asyncio.wait_for(names.execute("INSERT INTO names VALUES ('Ada')"), 5) == 1


async def test_the_deadline_counts_for_the_block_as_a_whole_and_undoes_it(names: PostgresDatabase, call: Begin) -> None:
    call(deadline=0.2)
    with pytest.raises(QueryTimeout):
        async with names.transaction() as tx:
            await tx.execute("INSERT INTO names VALUES ('Ada')")
            for _ in range(100):
                await tx.execute("SELECT pg_sleep(0.05)")
    call()
    assert await stored(names) == []


async def test_a_deadline_that_passes_in_the_handlers_own_code_commits_nothing(
    names: PostgresDatabase, call: Begin
) -> None:
    context = call(deadline=0.05)
    with pytest.raises(QueryTimeout):
        async with names.transaction() as tx:
            await tx.execute("INSERT INTO names VALUES ('Ada')")
            await asyncio.sleep(context.left() + 0.01)
    call()
    assert await stored(names) == []


async def test_an_error_that_the_block_swallows_is_told_at_its_end(names: PostgresDatabase) -> None:
    # Given a block that goes on after PostgreSQL has refused a statement
    with pytest.raises(QueryFailed, match="rolled back") as failed:
        async with names.transaction() as tx:
            await tx.execute("INSERT INTO names VALUES ('Ada')")
            with pytest.raises(ConstraintViolated):
                await tx.execute("INSERT INTO names VALUES ('Ada')")
    # Then it learns that nothing was stored, and why
    assert isinstance(failed.value.__cause__, ConstraintViolated)
    assert await stored(names) == []


async def test_a_constraint_that_is_checked_at_the_end_fails_the_block(names: PostgresDatabase) -> None:
    await names.execute("CREATE TABLE later (name text REFERENCES names DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(ConstraintViolated) as failed:
        async with names.transaction() as tx:
            await tx.execute("INSERT INTO later VALUES ('Nobody')")
    assert failed.value.constraint == "later_name_fkey"
    assert await names.value(int, "SELECT count(*) FROM later") == 0


async def test_a_connection_that_is_lost_in_the_block_leaves_nothing(names: PostgresDatabase, admin: Admin) -> None:
    with pytest.raises(DatabaseUnreachable):
        async with names.transaction() as tx:
            await tx.execute("INSERT INTO names VALUES ('Ada')")
            pid = await tx.value(int, "SELECT pg_backend_pid()")
            await admin.execute("SELECT pg_terminate_backend($1, 1000)", pid)
            await tx.execute("INSERT INTO names VALUES ('Bob')")
    assert await stored(names) == []


async def test_after_its_block_a_transaction_can_not_be_used(names: PostgresDatabase) -> None:
    async with names.transaction() as tx:
        pass
    for use in (tx.execute("SELECT 1"), tx.one(int, "SELECT 1"), tx.publish(renamed, "x")):
        with pytest.raises(AtollError, match="ATL3205"):
            await use
    with pytest.raises(AtollError, match="ATL3205"):
        tx.answer(1)


async def test_two_tasks_in_one_transaction_are_told_what_is_wrong(names: PostgresDatabase) -> None:
    with pytest.raises(QueryFailed, match="two tasks use this one"):
        async with names.transaction() as tx:
            await asyncio.gather(*(tx.execute("SELECT pg_sleep(0.01)") for _ in range(2)))


async def test_transactions_that_end_in_every_way_lose_no_connection(dsn: str, telemetry: Telemetry) -> None:
    async with opened(dsn, telemetry, connections=1) as database:

        async def one(number: int) -> None:
            async with database.transaction() as tx:
                await tx.execute("SELECT pg_sleep(0.001)")
                if number % 3 == 1:
                    await tx.execute("nonsense")
                if number % 5 == 1:
                    raise LookupError

        tasks = [asyncio.create_task(one(number)) for number in range(60)]
        for task in tasks[::4]:
            await asyncio.sleep(0.001)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await database.value(int, "SELECT 1") == 1
        assert await database.value(bool, "SELECT pg_current_xact_id_if_assigned() IS NULL")


async def test_a_request_knows_while_it_is_in_a_transaction(names: PostgresDatabase, call: Begin) -> None:
    context = call()
    async with names.transaction():
        assert context.in_transaction == 1
    with pytest.raises(DatabaseError):
        async with names.transaction() as tx:
            await tx.execute("nonsense")
    assert context.in_transaction == 0


async def test_begin_statements_and_commit_are_spans_of_the_request(
    names: PostgresDatabase, telemetry: Telemetry, call: Begin
) -> None:
    context = call()
    telemetry.recorder.take()
    async with names.transaction() as tx:
        await tx.execute("INSERT INTO names VALUES ('Ada')")
    spans = telemetry.recorder.take()
    assert [span.name for span in spans] == ["BEGIN", "INSERT names", "COMMIT"]
    assert {span.parent_id for span in spans} == {context.span_id}


class TestEvents:
    """What a transaction does with the outbox; what becomes of the rows is told in tests/runtime/events."""

    @pytest.fixture
    async def publishing(self, names: PostgresDatabase, dsn: str, telemetry: Telemetry) -> AsyncIterator[Publishing]:
        """A database with an outbox, and what wakes its relay."""
        await names.execute(EVENT_TABLES)
        woken: list[str] = []
        outbox = Outbox(Writer("shop", "users", [renamed], telemetry), lambda: woken.append("woken"))
        database = await PostgresDatabase.open(dsn, 1, "users", telemetry, outbox)
        yield database, woken
        await database.close()

    async def test_events_are_stored_with_the_rows_and_then_the_relay_is_woken(self, publishing: Publishing) -> None:
        database, woken = publishing
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO names VALUES ('Ada')")
            await tx.publish(renamed, "Ada")
            await tx.publish(renamed, "Bob")
            assert woken == []
        assert woken == ["woken"]
        assert await database.all(bytes, "SELECT payload FROM atoll.outbox ORDER BY id") == [b'"Ada"', b'"Bob"']

    async def test_a_block_that_raises_publishes_nothing(self, publishing: Publishing) -> None:
        database, woken = publishing
        with pytest.raises(LookupError):
            async with database.transaction() as tx:
                for number in range(Outbox.most + 1):  # so many that some are in the table before the end
                    await tx.publish(renamed, str(number))
                assert await tx.value(int, "SELECT count(*) FROM atoll.outbox") == Outbox.most
                raise LookupError
        assert (woken, await database.value(int, "SELECT count(*) FROM atoll.outbox")) == ([], 0)

    async def test_an_undeclared_topic_is_refused_with_its_name(self, publishing: Publishing) -> None:
        with pytest.raises(EventError, match="user-removed"):
            async with publishing[0].transaction() as tx:
                await tx.publish(removed, "Ada")


async def test_without_any_declared_topic_publishing_is_refused_with_the_place(names: PostgresDatabase) -> None:
    with pytest.raises(EventError, match="user-removed") as failed:
        async with names.transaction() as tx:
            await tx.publish(removed, "Ada")
    assert failed.value.problems[0].place.startswith(__file__)
