"""Many requests with one Idempotency-Key: the handler's work is done once, and all get its answer."""
# ruff: noqa: PT012 - what is to raise here is a whole block.

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from atoll.errors import DatabaseError
from atoll.runtime.context import Context, current, new_trace_id
from atoll.runtime.database import claims
from atoll.runtime.database.claims import MOST_RUNNING, PURGE_BATCH, Claims
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.idempotency import RETENTION, Answer, Idempotency, KeyRefused, fingerprint
from atoll.runtime.telemetry import Telemetry
from tests.runtime.database.parts import Admin, Begin, opened
from tests.waiting import eventually

ADVISORY = "locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"


def encode(value: object) -> Answer:
    return Answer(201, (("location", f"/orders/{value}"),), f'"{value}"'.encode())


def request(key: str = "key", body: bytes = b"{}", scope: str = "") -> Idempotency:
    return Idempotency(key, fingerprint("POST", "/orders", body), encode, scope)


class Replica:
    """One process of a service: its own pool and its own claims, and a handler that places orders."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database
        self.claims = Claims(database)

    async def place(self, idempotency: Idempotency, work: Callable[[], Awaitable[None]] | None = None) -> bytes:
        """As the server does it: what the caller gets. `work` is done by the handler, before its transaction."""
        context = Context(new_trace_id())
        current.set(context)
        async with self.claims.claim(idempotency):
            if idempotency.kept is not None:
                return b"replayed " + idempotency.kept.body
            context.idempotency = idempotency
            if work is not None:
                await work()
            async with self.database.transaction() as tx:
                order = await tx.value(int, "INSERT INTO orders DEFAULT VALUES RETURNING id")
                return encode(tx.answer(order)).body

    async def orders(self) -> int | None:
        return await self.database.value(int, "SELECT count(*) FROM orders")


@pytest.fixture
async def replica(database: PostgresDatabase) -> AsyncIterator[Replica]:
    await database.execute("CREATE TABLE orders (id serial PRIMARY KEY)")
    replica = Replica(database)
    yield replica
    await replica.claims.close()


@asynccontextmanager
async def another(dsn: str, telemetry: Telemetry, connections: int = 3) -> AsyncIterator[Replica]:
    async with opened(dsn, telemetry, connections) as database:
        replica = Replica(database)
        try:
            yield replica
        finally:
            await replica.claims.close()


async def no_lock(admin: Admin) -> bool:
    """Whether every key has been given back."""
    return bool(await admin.fetchval(f"SELECT count(*) = 0 FROM pg_locks WHERE {ADVISORY}"))


class Gate:
    """Handler's work that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.entered, self.open = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.entered.set()
        await self.open.wait()


async def refusal(replica: Replica, idempotency: Idempotency) -> int:
    with pytest.raises(KeyRefused) as refused:
        await replica.place(idempotency)
    return refused.value.status


class TestAnswers:
    async def test_the_second_request_gets_the_first_ones_answer(self, replica: Replica) -> None:
        assert await replica.place(request()) == b'"1"'
        again = request()
        assert await replica.place(again) == b'replayed "1"'
        assert again.kept == Answer(201, (("location", "/orders/1"),), b'"1"')
        assert await replica.orders() == 1

    async def test_another_replica_knows_the_answer(self, replica: Replica, dsn: str, telemetry: Telemetry) -> None:
        async with another(dsn, telemetry) as other:
            assert await replica.place(request()) == b'"1"'
            assert await other.place(request()) == b'replayed "1"'

    async def test_a_different_request_with_the_same_key_is_refused(self, replica: Replica) -> None:
        await replica.place(request(body=b"{}"))
        assert await refusal(replica, request(body=b"[]")) == 422
        assert await replica.orders() == 1

    async def test_one_callers_key_is_not_anothers(self, replica: Replica) -> None:
        assert await replica.place(request(scope="ada")) == b'"1"'
        assert await replica.place(request(scope="bob")) == b'"2"'
        assert await replica.place(request(scope="ada")) == b'replayed "1"'

    async def test_a_handler_that_fails_leaves_nothing_and_may_be_tried_again(self, replica: Replica) -> None:
        async def fails() -> None:
            raise LookupError

        with pytest.raises(LookupError):
            await replica.place(request(), fails)
        assert await replica.place(request()) == b'"1"'

    async def test_a_handler_that_fails_after_its_transaction_has_answered(self, replica: Replica) -> None:
        idempotency = request()
        context = Context(new_trace_id())
        current.set(context)
        with pytest.raises(LookupError):
            async with replica.claims.claim(idempotency):
                context.idempotency = idempotency
                async with replica.database.transaction() as tx:
                    tx.answer("one")
                raise LookupError
        assert await replica.place(request()) == b'replayed "one"'

    async def test_of_several_answers_in_one_handler_the_last_is_kept(self, replica: Replica) -> None:
        idempotency = request()
        context = Context(new_trace_id())
        current.set(context)
        async with replica.claims.claim(idempotency):
            context.idempotency = idempotency
            for answer in ("first", "second"):
                async with replica.database.transaction() as tx:
                    tx.answer(answer)
        assert await replica.place(request()) == b'replayed "second"'

    async def test_a_handler_that_keeps_no_answer_is_told_so_once(
        self, replica: Replica, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            async with replica.claims.claim(request()):
                pass
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "tx.answer" in caplog.text

    async def test_without_a_key_an_answer_is_just_returned(self, replica: Replica, call: Begin) -> None:
        call()
        async with replica.database.transaction() as tx:
            assert tx.answer("one") == "one"
        assert await replica.database.value(int, "SELECT count(*) FROM atoll.idempotency") == 0


class TestRunning:
    async def test_while_one_runs_another_is_refused_here_and_elsewhere(
        self, replica: Replica, dsn: str, telemetry: Telemetry
    ) -> None:
        gate = Gate()
        async with another(dsn, telemetry) as other:
            first = asyncio.create_task(replica.place(request(), gate))
            await gate.entered.wait()
            assert await refusal(replica, request()) == 409
            assert await refusal(other, request()) == 409
            assert await other.place(request("other key")) == b'"1"'
            gate.open.set()
            assert await first == b'"2"'

    async def test_of_many_at_once_on_several_replicas_one_does_the_work(
        self, replica: Replica, dsn: str, telemetry: Telemetry
    ) -> None:
        refusals: set[int] = set()

        async def persist(on: Replica, key: str) -> bytes:
            while True:
                try:
                    return await on.place(request(key))
                except KeyRefused as refused:
                    refusals.add(refused.status)
                    await asyncio.sleep(0.005)

        async with another(dsn, telemetry, connections=1) as second, another(dsn, telemetry, connections=2) as third:
            keys = [f"key-{number}" for number in range(10)]
            callers = [(on, key) for key in keys for on in (replica, second, third) for _ in range(4)]
            async with asyncio.timeout(30):
                answers = await asyncio.gather(*(persist(on, key) for on, key in callers))
        # Each key was served once, and everybody else got the very same answer.
        assert (await replica.orders(), refusals) == (len(keys), {409})
        for key in keys:
            got = [answer for (_, other), answer in zip(callers, answers, strict=True) if other == key]
            assert sum(not answer.startswith(b"replayed") for answer in got) == 1
            assert len({answer.removeprefix(b"replayed ") for answer in got}) == 1

    async def test_keys_take_no_connection_of_the_pool(self, replica: Replica, dsn: str, telemetry: Telemetry) -> None:
        """Forty handlers wait inside their keys while one connection serves whoever asks."""
        gate = Gate()
        async with another(dsn, telemetry, connections=1) as small:
            tasks = [asyncio.create_task(small.place(request(str(number)), gate)) for number in range(40)]
            await gate.entered.wait()
            assert await small.database.value(int, "SELECT 1") == 1
            gate.open.set()
            assert len(set(await asyncio.gather(*tasks))) == 40

    async def test_more_keys_than_allowed_are_refused_until_one_is_free(self, replica: Replica) -> None:
        replica.claims = Claims(replica.database, most=2)
        gate = Gate()
        tasks = [asyncio.create_task(replica.place(request(str(number)), gate)) for number in range(2)]
        await gate.entered.wait()
        assert await refusal(replica, request("one more")) == 503
        gate.open.set()
        await asyncio.gather(*tasks)
        assert await replica.place(request("one more")) == b'"3"'

    async def test_a_caller_that_is_cancelled_at_any_moment_frees_its_key(self, replica: Replica, admin: Admin) -> None:
        for turn in range(60):
            task = asyncio.create_task(replica.place(request("cancelled")))
            for _ in range(turn % 20):
                await asyncio.sleep(0)
            await asyncio.sleep(turn / 20_000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        async def served() -> bool:
            try:
                await replica.place(request("cancelled"))
            except KeyRefused:
                return False
            return True

        await eventually(served)
        await eventually(lambda: no_lock(admin))
        assert await replica.orders() == 1


class TestLosingTheLock:
    async def test_when_the_locks_connection_is_lost_the_key_still_works_once(
        self, replica: Replica, dsn: str, telemetry: Telemetry, admin: Admin
    ) -> None:
        gate = Gate()
        async with another(dsn, telemetry) as other:
            # Given a handler at work whose lock is gone
            first = asyncio.create_task(replica.place(request(), gate))
            await gate.entered.wait()
            ended = f"SELECT pg_terminate_backend(pid, 2000) FROM pg_locks WHERE {ADVISORY}"
            assert await admin.fetchval(ended)
            # When another replica serves the same key meanwhile
            assert await other.place(request()) == b'"1"'
            gate.open.set()
            # Then the first one's work is undone, and its caller is told to come again
            with pytest.raises(KeyRefused) as refused:
                await first
            assert refused.value.status == 409
            assert await replica.place(request()) == b'replayed "1"'
            assert await replica.orders() == 1

    async def test_after_a_lost_connection_the_locks_are_taken_again(
        self, replica: Replica, dsn: str, telemetry: Telemetry, admin: Admin
    ) -> None:
        gate = Gate()
        async with another(dsn, telemetry) as other:
            first = asyncio.create_task(replica.place(request(), gate))
            await gate.entered.wait()
            await admin.execute(f"SELECT pg_terminate_backend(pid, 2000) FROM pg_locks WHERE {ADVISORY}")
            assert await replica.place(request("next")) == b'"1"'
            assert await refusal(other, request()) == 409
            gate.open.set()
            assert await first == b'"2"'
            await eventually(lambda: no_lock(admin))

    async def test_a_process_that_ends_frees_its_keys(self, replica: Replica, dsn: str, telemetry: Telemetry) -> None:
        gate = Gate()
        async with another(dsn, telemetry) as other:
            first = asyncio.create_task(other.place(request(), gate))
            await gate.entered.wait()
            first.cancel()

        async def served() -> bool:
            try:
                return await replica.place(request()) == b'"1"'
            except KeyRefused:
                return False

        await eventually(served)

    async def test_a_database_that_is_away_is_told_as_such(self, replica: Replica, call: Begin) -> None:
        await replica.database.close()
        with pytest.raises(DatabaseError):
            await replica.place(request())


async def test_old_answers_are_deleted_in_batches_and_young_ones_stay(replica: Replica, admin: Admin) -> None:
    await replica.place(request("young"))
    fill = """INSERT INTO atoll.idempotency SELECT '', g::text, 1, '', 200, '[]', '', now() - make_interval(secs => $1)
        FROM generate_series(1, $2::int) AS g"""
    await admin.execute(fill, RETENTION + 60, 2 * PURGE_BATCH + 1)
    deleted = await asyncio.gather(*(Claims(replica.database).purge() for _ in range(2)))
    assert sum(deleted) == 2 * PURGE_BATCH + 1
    assert await replica.place(request("young")) == b'replayed "1"'


async def test_old_answers_are_deleted_long_after_the_deadline_of_the_request_that_came_first(
    replica: Replica, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PURGE_PERIOD", 0.2)
    old = "INSERT INTO atoll.idempotency VALUES ('', 'old', 1, '', 200, '[]', '', now() - make_interval(secs => $1))"
    # Given a process whose first request had to be answered at once
    current.set(Context(new_trace_id(), deadline=time.monotonic() + 1.0))
    async with replica.claims.claim(request()):
        pass
    await asyncio.sleep(1.0)  # until its deadline has passed
    # When an answer is older than it is kept, then it is deleted
    await admin.execute(old, RETENTION + 60)

    async def is_deleted() -> bool:
        return not await admin.fetchval("SELECT count(*) FROM atoll.idempotency WHERE key = 'old'")

    await eventually(is_deleted, "the old answer is deleted", within=10)


def test_postgresql_has_room_for_the_locks_of_many_replicas() -> None:
    # max_locks_per_transaction is 64 for each of max_connections, which is 100 or more.
    assert MOST_RUNNING * 4 <= 64 * 100
