"""The database through its failures: deadlines, cancelled calls, lost connections, a server that is away."""

import asyncio
import contextlib
import logging
import os
import signal
import time

import asyncpg
import pytest

from atoll.errors import ConstraintViolated, DatabaseError, DatabaseUnreachable, QueryFailed, QueryTimeout
from atoll.runtime.database import database as module
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.database.pool import MOST_WAITING
from atoll.runtime.database.statements import DEFAULT_TIME, deadline
from atoll.runtime.telemetry import Telemetry
from tests.runtime.database.parts import Admin, Begin, idle_connections, opened, running
from tests.runtime.servers import READY_WITHIN, PostgresServer
from tests.waiting import eventually


class TestDeadline:
    async def test_a_statement_past_the_callers_deadline_is_cancelled_on_the_server(
        self, database: PostgresDatabase, admin: Admin, call: Begin
    ) -> None:
        call(deadline=0.15)
        started = time.monotonic()
        with pytest.raises(QueryTimeout) as failed:
            await database.value(int, "/* slow */ SELECT 1 FROM pg_sleep(30)")
        assert 0.1 <= time.monotonic() - started < 5
        assert failed.value.problems[0].place.startswith(__file__)
        await eventually(running(admin, "slow", 0))

    async def test_a_deadline_that_has_passed_sends_nothing(self, database: PostgresDatabase, call: Begin) -> None:
        await database.execute("CREATE SEQUENCE sent")
        call(deadline=-0.001)
        with pytest.raises(QueryTimeout):
            await database.value(int, "SELECT nextval('sent')")
        call()
        assert await database.value(bool, "SELECT is_called FROM sent") is False

    async def test_without_a_deadline_a_statement_has_half_a_minute(self, call: Begin) -> None:
        for context in (None, call()):
            assert 29 < deadline(context) - time.monotonic() <= DEFAULT_TIME

    async def test_a_call_that_is_cancelled_cancels_its_statement_on_the_server(
        self, database: PostgresDatabase, admin: Admin
    ) -> None:
        task = asyncio.create_task(database.value(int, "/* cancelled */ SELECT 1 FROM pg_sleep(30)"))
        await eventually(running(admin, "cancelled", 1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(running(admin, "cancelled", 0))

    async def test_the_only_connection_serves_again_after_a_timeout_and_after_a_cancelled_call(
        self, dsn: str, telemetry: Telemetry, call: Begin
    ) -> None:
        async with opened(dsn, telemetry, connections=1) as database:
            pid = await database.value(int, "SELECT pg_backend_pid()")
            call(deadline=0.05)
            with pytest.raises(QueryTimeout):
                await database.execute("SELECT pg_sleep(30)")
            call(deadline=10)
            task = asyncio.create_task(database.execute("SELECT pg_sleep(30)"))
            await asyncio.sleep(0)
            task.cancel()
            assert await database.value(int, "SELECT pg_backend_pid()") == pid

    async def test_cancelling_calls_at_any_moment_loses_no_connection(self, dsn: str, telemetry: Telemetry) -> None:
        # Given two connections, and many calls cancelled while they wait, connect, run or give back
        async with opened(dsn, telemetry, connections=2) as database:
            tasks = [asyncio.create_task(database.value(int, "SELECT 1 FROM pg_sleep(0.001)")) for _ in range(200)]
            for turn, task in enumerate(tasks):
                if turn % 3:
                    task.cancel()
                if turn % 7 == 0:
                    await asyncio.sleep(0.001)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {int, asyncio.CancelledError}
            # Then both are there for whoever comes next
            pids = await asyncio.gather(
                *(database.value(int, "SELECT pg_backend_pid() FROM pg_sleep(0.2)") for _ in range(2))
            )
            assert len(set(pids)) == 2


class TestPool:
    async def test_no_more_connections_are_opened_than_allowed(
        self, dsn: str, telemetry: Telemetry, admin: Admin
    ) -> None:
        async with opened(dsn, telemetry, connections=3) as database:
            pids = await asyncio.gather(
                *(database.value(int, "SELECT pg_backend_pid() FROM pg_sleep(0.01)") for _ in range(20))
            )
            assert len(set(pids)) == 3
            assert idle_connections(telemetry, 3)

    async def test_waiting_for_a_connection_ends_with_the_deadline(
        self, dsn: str, telemetry: Telemetry, call: Begin
    ) -> None:
        async with opened(dsn, telemetry, connections=1) as database, database.transaction():
            call(deadline=0.1)
            with pytest.raises(QueryTimeout, match="waited for one of the 1 connections"):
                await database.execute("SELECT 1")
        assert "db_client_connection_wait_time_seconds_count 1" in telemetry.metrics.render()

    async def test_too_many_waiting_calls_are_refused_at_once(self, dsn: str, telemetry: Telemetry) -> None:
        async with opened(dsn, telemetry, connections=1) as database:
            async with database.transaction():
                waiting = [asyncio.create_task(database.value(int, "SELECT 1")) for _ in range(MOST_WAITING)]
                await asyncio.sleep(0)
                with pytest.raises(DatabaseUnreachable, match=f"{MOST_WAITING} calls wait"):
                    await database.value(int, "SELECT 1")
            assert await asyncio.gather(*waiting) == [1] * MOST_WAITING

    async def test_calls_are_served_in_the_order_in_which_they_waited(self, dsn: str, telemetry: Telemetry) -> None:
        served: list[int] = []

        async def one(number: int) -> None:
            await database.value(int, "SELECT 1")
            served.append(number)

        async with opened(dsn, telemetry, connections=1) as database:
            async with database.transaction():
                tasks = [asyncio.create_task(one(number)) for number in range(10)]
                await asyncio.sleep(0)
            await asyncio.gather(*tasks)
        assert served == list(range(10))

    async def test_a_changed_session_is_made_as_new_before_the_next_call_has_it(
        self, dsn: str, telemetry: Telemetry
    ) -> None:
        async with opened(dsn, telemetry, connections=1) as database:
            usual = await database.value(str, "SHOW statement_timeout")
            await database.execute("SET statement_timeout = '7s'")
            assert await database.value(str, "SHOW statement_timeout") == usual
            await database.execute("BEGIN")
            assert await database.value(bool, "SELECT pg_current_xact_id_if_assigned() IS NULL AND now() = now()")
            async with database.lease() as connection:
                await connection.execute("SELECT pg_advisory_lock(1)")
            assert await database.value(int, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0

    async def test_closing_waits_for_what_is_at_work_and_cuts_what_takes_too_long(
        self, dsn: str, telemetry: Telemetry, admin: Admin
    ) -> None:
        database = await PostgresDatabase.open(dsn, 2, "users", telemetry, None)
        await admin.execute("SELECT pg_advisory_lock(1)")
        short = asyncio.create_task(database.value(int, "/* at work */ SELECT 1 FROM pg_advisory_xact_lock(1)"))
        long = asyncio.create_task(database.value(int, "/* at work */ SELECT 1 FROM pg_sleep(30)"))
        await eventually(running(admin, "at work", 2))
        closing = asyncio.create_task(database.close(grace=2.0))
        await asyncio.sleep(0)
        assert not closing.done()
        await admin.execute("SELECT pg_advisory_unlock(1)")
        assert await short == 1
        await closing
        with pytest.raises(DatabaseUnreachable):
            await long
        with pytest.raises(DatabaseUnreachable, match="stopping"):
            await database.execute("SELECT 1")


class TestLostConnections:
    async def test_after_a_connection_is_lost_the_next_call_works(
        self, database: PostgresDatabase, admin: Admin
    ) -> None:
        # Given a call whose backend is terminated under it
        task = asyncio.create_task(database.execute("/* lost */ SELECT pg_sleep(30)"))
        await eventually(running(admin, "lost", 1))
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '/* lost */%'")
        # Then it fails with the service's name, and the next is served
        with pytest.raises(DatabaseUnreachable, match="The database of users") as failed:
            await task
        assert isinstance(failed.value.__cause__, (asyncpg.PostgresError, OSError))
        assert await database.value(int, "SELECT 1") == 1

    async def test_after_a_backend_is_killed_all_connections_come_back(
        self, dsn: str, telemetry: Telemetry, postgres_server: PostgresServer
    ) -> None:
        async with opened(dsn, telemetry, connections=3) as database:
            pids = await asyncio.gather(
                *(database.value(int, "SELECT pg_backend_pid() FROM pg_sleep(0.05)") for _ in range(3))
            )
            # When one is killed, PostgreSQL ends all sessions and recovers
            assert pids[0] is not None
            os.kill(pids[0], signal.SIGKILL)

            async def served() -> bool:
                with contextlib.suppress(DatabaseUnreachable):
                    new = await database.value(int, "SELECT pg_backend_pid()")
                    return new not in pids
                return False

            await eventually(served)
            assert await asyncio.gather(*(database.value(int, "SELECT 1") for _ in range(9))) == [1] * 9

    async def test_while_the_server_is_away_calls_fail_fast_and_after_its_restart_they_work(
        self, dsn: str, telemetry: Telemetry, postgres_server: PostgresServer, call: Begin
    ) -> None:
        async with opened(dsn, telemetry, connections=2) as database:
            postgres_server.stop()
            try:
                call(deadline=20)
                started = time.monotonic()
                for _ in range(2):
                    with pytest.raises(DatabaseUnreachable, match="users"):
                        await database.execute("SELECT 1")
                assert time.monotonic() - started < 2 * module.PATIENCE + 3
                call(deadline=0.1)
                with pytest.raises(DatabaseUnreachable):
                    await database.execute("SELECT 1")
            finally:
                postgres_server.start()
            call(deadline=20)
            assert await database.value(int, "SELECT 1") == 1

    async def test_a_call_made_while_the_server_starts_waits_for_it(
        self, dsn: str, telemetry: Telemetry, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # How long it waits is another question than how long a start takes.
        monkeypatch.setattr(module, "PATIENCE", READY_WITHIN)
        async with opened(dsn, telemetry, connections=2) as database:
            postgres_server.stop()

            async def noticed() -> bool:
                return idle_connections(telemetry, 0)

            await eventually(noticed)
            postgres_server.begin()
            try:
                assert await database.value(int, "SELECT 1") == 1
            finally:
                postgres_server.wait_until_ready()

    async def test_a_wrong_password_is_told_at_once_with_its_reason(self, dsn: str, telemetry: Telemetry) -> None:
        user = dsn.partition("://")[2].partition(":")[0]
        wrong = f"postgresql://{user}:wrong@{dsn.partition('@')[2]}"
        with pytest.raises(DatabaseUnreachable, match="password authentication failed") as failed:
            await PostgresDatabase.open(wrong, 1, "users", telemetry, None)
        assert failed.value.sqlstate == "28P01"
        assert "wrong" not in str(failed.value)


class TestErrors:
    @pytest.mark.parametrize(
        ("sql", "constraint", "sqlstate"),
        [
            ("INSERT INTO people VALUES (1, 'ada@example.org', 30)", "people_pkey", "23505"),
            ("INSERT INTO people VALUES (2, 'a@example.org', -1)", "adult", "23514"),
            ("INSERT INTO people VALUES (2, NULL, 30)", "email", "23502"),
            ("INSERT INTO pets VALUES (7)", "pets_owner_fkey", "23503"),
        ],
    )
    async def test_a_violated_constraint_is_named_and_its_values_are_not(
        self, database: PostgresDatabase, sql: str, constraint: str, sqlstate: str
    ) -> None:
        await database.execute(
            "CREATE TABLE people (id int PRIMARY KEY, email text NOT NULL, age int CONSTRAINT adult CHECK (age >= 18))"
        )
        await database.execute("CREATE TABLE pets (owner int REFERENCES people)")
        await database.execute("INSERT INTO people VALUES (1, 'ada@example.org', 30)")
        with pytest.raises(ConstraintViolated) as failed:
            await database.execute(sql)
        assert (failed.value.constraint, failed.value.sqlstate) == (constraint, sqlstate)
        assert isinstance(failed.value.__cause__, asyncpg.IntegrityConstraintViolationError)
        assert "example.org" not in str(failed.value)

    async def test_a_refused_query_says_why_and_where_it_was_made(self, database: PostgresDatabase) -> None:
        with pytest.raises(QueryFailed, match='column "nme" does not exist') as failed:
            await database.execute("SELECT nme FROM (SELECT 1 AS name) AS a")
        assert failed.value.sqlstate == "42703"
        assert failed.value.problems[0].place.startswith(f"{__file__}:")

    async def test_a_parameter_of_the_wrong_type_is_told_without_its_value(self, database: PostgresDatabase) -> None:
        with pytest.raises(QueryFailed, match=r"query argument \$1") as failed:
            await database.value(int, "SELECT $1::int", "hunter2")
        assert "hunter2" not in str(failed.value)
        assert await database.value(int, "SELECT $1::int", 2) == 2

    async def test_every_error_of_the_database_is_one_family(self, database: PostgresDatabase) -> None:
        for sql in ("nonsense", "SELECT 1 / 0", "SELECT * FROM missing"):
            with pytest.raises(DatabaseError):
                await database.execute(sql)


class TestTelemetry:
    async def test_each_statement_is_a_span_below_the_span_that_made_it(
        self, database: PostgresDatabase, telemetry: Telemetry, call: Begin
    ) -> None:
        context = call()
        telemetry.recorder.take()
        await database.one(int, "SELECT count(*) FROM pg_class WHERE relname = $1", "secret")
        with pytest.raises(QueryFailed):
            await database.execute("SELECT nothing FROM pg_class")
        good, bad = telemetry.recorder.take()
        assert (good.kind, good.name, good.error) == ("client", "SELECT pg_class", "")
        assert (good.trace_id, good.parent_id) == (context.trace_id, context.span_id)
        assert good.span_id not in (0, bad.span_id)
        assert 0 < good.end - good.start < 5e9
        attributes = dict(zip((good.attributes or ())[::2], (good.attributes or ())[1::2], strict=True))
        assert attributes["db.system.name"] == "postgresql"
        assert attributes["db.operation.name"] == "SELECT"
        assert attributes["db.query.summary"] == "SELECT pg_class"
        assert "secret" not in repr((good, bad))
        assert bad.error == "QueryFailed"

    async def test_a_row_that_a_constraint_refused_is_told_and_is_no_failure_of_the_database(
        self, database: PostgresDatabase, telemetry: Telemetry, call: Begin
    ) -> None:
        await database.execute("CREATE TABLE once (id int PRIMARY KEY)")
        await database.execute("INSERT INTO once VALUES (1)")
        call()
        telemetry.recorder.take()
        with pytest.raises(ConstraintViolated):
            await database.execute("INSERT INTO once VALUES (1)")
        (refused,) = telemetry.recorder.take()
        assert refused.error == ""
        assert (refused.attributes or ())[-2:] == ("db.response.status_code", "23505")

    async def test_an_unsampled_call_has_no_span_but_is_measured(
        self, database: PostgresDatabase, telemetry: Telemetry, call: Begin
    ) -> None:
        call(sampled=False)
        telemetry.recorder.take()
        for _ in range(3):
            await database.value(int, "SELECT 1")
        assert telemetry.recorder.take() == []
        assert 'operation_name="SELECT",db_system_name="postgresql"} 3' in telemetry.metrics.render()


async def test_nothing_is_logged_as_an_error_by_any_of_this(
    database: PostgresDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        with pytest.raises(QueryFailed):
            await database.execute("nonsense")
        async with database.lease() as connection:
            await connection.execute("BEGIN")
        await database.value(int, "SELECT 1")
    assert caplog.records == []
