"""A database is brought to what the files say, or left as it was with the line that is wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar

import asyncpg
import pytest

from atoll.errors import AtollError, DatabaseUnreachable, Problem
from atoll.model.migrations import migration_problems
from atoll.runtime.__main__ import FINAL
from atoll.runtime.database import tables
from atoll.runtime.database.migrations import migrate, pending, read_migrations
from atoll.runtime.database.pool import Connection
from atoll.runtime.database.tables import MIGRATION_LOCK, make_tables
from atoll.runtime.events.tables import EVENT_TABLES
from tests.runtime.database.parts import Admin
from tests.waiting import eventually

Write = Callable[..., Path]


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(one="CREATE ...", two="...")` makes 0001_one.sql, 0002_two.sql beside those that are there."""

    def write(**files: str) -> Path:
        start = len(list(tmp_path.glob("*.sql"))) + 1
        for number, (name, sql) in enumerate(files.items(), start):
            (tmp_path / f"{number:04}_{name}.sql").write_text(sql)
        return tmp_path

    return write


async def failure(connection: Connection, folder: Path) -> Problem:
    with pytest.raises(AtollError) as failed:
        await migrate(connection, "users", folder)
    (problem,) = failed.value.problems
    return problem


async def tables_of(connection: Connection) -> list[str]:
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return [row["tablename"] for row in rows]


class TestApplying:
    async def test_new_files_are_applied_once_and_in_order(self, connection: Connection, write: Write) -> None:
        folder = write(people="CREATE TABLE people (id int);", name="ALTER TABLE people ADD name text;")
        assert await migrate(connection, "users", folder) == ["0001_people.sql", "0002_name.sql"]
        assert await migrate(connection, "users", folder) == []
        write(pets="CREATE TABLE pets (id int); INSERT INTO pets VALUES (1); -- the end")
        assert await migrate(connection, "users", folder) == ["0003_pets.sql"]
        assert await tables_of(connection) == ["people", "pets"]

    async def test_files_with_windows_line_ends_and_a_byte_order_mark_are_the_same_files(
        self, connection: Connection, write: Write
    ) -> None:
        folder = write(people="CREATE TABLE people (\n  id int\n);\n")
        await migrate(connection, "users", folder)
        (folder / "0001_people.sql").write_bytes(b"CREATE TABLE people (\r\n  id int\r\n);\r\n")
        assert await migrate(connection, "users", folder) == []
        (folder / "0002_pets.sql").write_bytes("\ufeffCREATE TABLE pets (id int)".encode())
        assert await migrate(connection, "users", folder) == ["0002_pets.sql"]

    async def test_of_many_that_migrate_at_once_one_does_the_work(self, dsn: str, write: Write) -> None:
        folder = write(**{f"t{number}": f"CREATE TABLE t{number} (id int)" for number in range(1, 6)})
        connections = [await asyncpg.connect(dsn) for _ in range(5)]
        done = await asyncio.gather(*(migrate(each, "users", folder) for each in connections))
        assert sorted(len(each) for each in done) == [0, 0, 0, 0, 5]
        assert len(await tables_of(connections[0])) == 5
        for each in connections:
            await each.close()

    async def test_whoever_waits_too_long_for_another_migration_says_so(
        self, connection: Connection, admin: Admin, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("atoll.runtime.database.migrations.LOCK_PATIENCE", 0.1)
        monkeypatch.setattr(tables, "LOCK_PATIENCE", 0.1)
        await admin.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        assert (await failure(connection, write(a="SELECT 1"))).code == "ATL3209"
        with pytest.raises(AtollError, match="ATL3209"):
            await make_tables(connection, "users")

    async def test_a_migrator_that_is_killed_leaves_nothing_and_the_next_one_does_the_work(
        self, connection: Connection, dsn: str, admin: Admin, write: Write
    ) -> None:
        folder = write(slow="CREATE TABLE people (id int); /* migrating */ SELECT pg_sleep(30);")
        victim = await asyncpg.connect(dsn)
        task = asyncio.create_task(migrate(victim, "users", folder))

        async def is_slow() -> bool:
            return bool(await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

        await eventually(is_slow)
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        # The server's going away says nothing of the file, so another try is made.
        with pytest.raises(DatabaseUnreachable):
            await task
        assert await tables_of(connection) == []
        (folder / "0001_slow.sql").write_text("CREATE TABLE people (id int)")
        assert await migrate(connection, "users", folder) == ["0001_slow.sql"]


class TestFailing:
    @pytest.mark.parametrize(
        ("sql", "line", "reason"),
        [
            (
                "CREATE TABLE a (id int);\n\nCREATE TABLE b (\n  id int,\n  nam txt\n);\n",
                5,
                'type "txt" does not exist',
            ),
            ("CREATE TABLE a (id int);\nSELEC 1;", 2, "syntax error"),
            ("-- é€\nCREATE TABLE a (x text DEFAULT 'é');\nSELECT 'é€', nothing;", 3, "does not exist"),
            # PostgreSQL gives no place for these two: the statement's own is told.
            ("CREATE TABLE a (id int PRIMARY KEY);\nINSERT INTO a\nVALUES (1), (1);", 2, "duplicate key"),
            ("CREATE TABLE a (id int);\n\nDO $$\nBEGIN\n  RAISE EXCEPTION 'enough';\nEND $$;", 3, "enough"),
        ],
    )
    async def test_a_failure_names_file_and_line_and_leaves_the_database_as_it_was(
        self, connection: Connection, write: Write, sql: str, line: int, reason: str
    ) -> None:
        folder = write(good="CREATE TABLE good (id int)", bad=sql, never="CREATE TABLE never (id int)")
        problem = await failure(connection, folder)
        assert (problem.code, problem.place) == ("ATL3202", f"{folder}/0002_bad.sql:{line}")
        assert "users: migration 0002_bad.sql failed" in problem.sentence
        assert reason in problem.sentence
        assert await tables_of(connection) == ["good"]
        # What was right before it stays, and goes on once the file is right.
        (folder / "0002_bad.sql").write_text("CREATE TABLE better (id int)")
        assert await migrate(connection, "users", folder) == ["0002_bad.sql", "0003_never.sql"]

    async def test_an_edited_file_is_refused_before_anything_is_applied(
        self, connection: Connection, write: Write
    ) -> None:
        folder = write(people="CREATE TABLE people (id int)")
        await migrate(connection, "users", folder)
        (folder / "0001_people.sql").write_text("CREATE TABLE people (id bigint)")
        write(more="CREATE TABLE more (id int)")
        problem = await failure(connection, folder)
        assert (problem.code, problem.place) == ("ATL2206", f"{folder}/0001_people.sql")
        assert await tables_of(connection) == ["people"]

    async def test_files_that_a_newer_version_applied_are_named(self, connection: Connection, write: Write) -> None:
        folder = write(people="CREATE TABLE people (id int)", newer="CREATE TABLE newer (id int)")
        await migrate(connection, "users", folder)
        (folder / "0002_newer.sql").unlink()
        problem = await failure(connection, folder)
        assert (problem.code, problem.place) == ("ATL2205", f"{folder}/0002_newer.sql")
        assert "applied before" in problem.sentence

    async def test_all_that_is_wrong_with_the_files_is_told_at_once(self, connection: Connection, write: Write) -> None:
        folder = write(first="CREATE TABLE a (id int);\nCOMMIT;", empty="-- later\n")
        (folder / "0004_gap.sql").write_text("SELECT 1")
        (folder / "notes.sql").write_text("SELECT 1")
        (folder / "0005_latin.sql").write_bytes(b"SELECT 1;\nSELECT '\xe9';")
        with pytest.raises(AtollError) as failed:
            await migrate(connection, "users", folder)
        told = {(problem.place.removeprefix(f"{folder}/"), problem.code) for problem in failed.value.problems}
        assert told == {
            *(("0001_first.sql:2", "ATL3210"), ("0002_empty.sql", "ATL3210"), ("0005_latin.sql:2", "ATL3210")),
            *(("0004_gap.sql", "ATL2205"), ("notes.sql", "ATL2205")),
        }
        assert await tables_of(connection) == []

    async def test_a_missing_folder_is_named(self, connection: Connection, tmp_path: Path) -> None:
        problem = await failure(connection, tmp_path / "nowhere")
        assert (problem.code, str(tmp_path / "nowhere") in problem.sentence) == ("ATL2204", True)

    async def test_a_table_that_is_locked_fails_the_migration_instead_of_blocking_everybody(
        self, connection: Connection, admin: Admin, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("atoll.runtime.database.migrations.LOCK_TIMEOUT", "100ms")
        folder = write(people="CREATE TABLE people (id int)")
        await migrate(connection, "users", folder)
        async with admin.transaction():
            await admin.execute("LOCK TABLE people IN ACCESS SHARE MODE")
            write(name="ALTER TABLE people ADD name text")
            problem = await failure(connection, folder)
        assert "lock timeout" in problem.sentence
        assert await migrate(connection, "users", folder) == ["0002_name.sql"]

    async def test_a_statement_that_is_ended_is_told_with_its_line_and_no_other_try_helps(
        self, connection: Connection, write: Write
    ) -> None:
        folder = write(slow="SET LOCAL statement_timeout = '100ms';\n\nSELECT pg_sleep(9)")
        problem = await failure(connection, folder)
        assert (problem.code, problem.place) == ("ATL3202", f"{folder}/0001_slow.sql:3")
        assert "statement timeout" in problem.sentence
        assert problem.code in FINAL


class TestTakingLong:
    """Neither what a role says for its queries nor what a file says for itself is a bound of another file."""

    BOUND: ClassVar = {"statement_timeout": "200ms", "transaction_timeout": "300ms"}
    SLOW = "SELECT pg_sleep(0.25); SELECT pg_sleep(0.25);"
    SLOW_NOTES = """
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END';
        CREATE TRIGGER slow BEFORE INSERT ON atoll.migrations FOR EACH ROW EXECUTE FUNCTION slow();
    """

    @pytest.mark.parametrize("first", ["", "-- atoll: no transaction\n"])
    async def test_the_roles_own_bounds_are_for_its_queries(self, dsn: str, write: Write, first: str) -> None:
        connection = await asyncpg.connect(dsn)
        await make_tables(connection, "users")
        await connection.close()
        connection = await asyncpg.connect(dsn, server_settings=self.BOUND)
        assert await migrate(connection, "users", write(slow=first + self.SLOW)) == ["0001_slow.sql"]
        await connection.close()

    async def test_the_bound_of_a_file_ends_with_it(self, connection: Connection, write: Write) -> None:
        bound = "-- atoll: no transaction\nSET statement_timeout = '200ms';"
        folder = write(bound=bound, slow=self.SLOW)
        assert await migrate(connection, "users", folder) == ["0001_bound.sql", "0002_slow.sql"]

    async def test_nor_is_it_one_of_noting_that_the_file_was_applied(
        self, connection: Connection, write: Write
    ) -> None:
        # Given that it takes longer than the file lets a statement take
        await make_tables(connection, "users")
        await connection.execute(self.SLOW_NOTES)
        bound = "-- atoll: no transaction\nSET statement_timeout = '200ms';"
        assert await migrate(connection, "users", write(bound=bound)) == ["0001_bound.sql"]


class TestWithoutTransaction:
    async def test_an_index_can_be_made_while_the_table_is_used(self, connection: Connection, write: Write) -> None:
        make = "CREATE INDEX CONCURRENTLY {} ON people (id);\n"
        index = "-- atoll: no transaction\n" + make.format("a") + make.format("b")
        folder = write(people="CREATE TABLE people (id int)", index=index)
        assert await migrate(connection, "users", folder) == ["0001_people.sql", "0002_index.sql"]

    async def test_without_the_line_the_same_file_says_what_is_wrong(
        self, connection: Connection, write: Write
    ) -> None:
        folder = write(people="CREATE TABLE people (id int)", index="CREATE INDEX CONCURRENTLY a ON people (id)")
        assert "cannot run inside a transaction block" in (await failure(connection, folder)).sentence

    async def test_others_that_migrate_meanwhile_do_not_block_it(self, dsn: str, write: Write) -> None:
        """A statement that waited for the lock would have a snapshot that CREATE INDEX CONCURRENTLY waits for."""
        index = "-- atoll: no transaction\nCREATE INDEX CONCURRENTLY a ON people (id)"
        folder = write(people="CREATE TABLE people (id int)", index=index)
        connections = [await asyncpg.connect(dsn) for _ in range(4)]
        async with asyncio.timeout(20):
            done = await asyncio.gather(
                *(migrate(each, "users", folder) for each in connections[:2]),
                *(make_tables(each, "users", EVENT_TABLES) for each in connections[2:]),
            )
        assert sum(len(each) for each in done if each) == 2
        for each in connections:
            await each.close()

    async def test_a_failure_says_that_what_stands_before_took_effect(
        self, connection: Connection, write: Write
    ) -> None:
        folder = write(half="-- atoll: no transaction\nCREATE TABLE a (id int);\nCREATE TABLE a (id int);")
        problem = await failure(connection, folder)
        assert (problem.code, problem.place) == ("ATL3208", f"{folder}/0001_half.sql:3")
        assert await tables_of(connection) == ["a"]


async def test_own_tables_can_be_made_again_and_by_many_at_once(dsn: str) -> None:
    connections = [await asyncpg.connect(dsn) for _ in range(4)]
    await asyncio.gather(*(make_tables(each, "users", EVENT_TABLES) for each in connections))
    await make_tables(connections[0], "users", EVENT_TABLES)
    names = await connections[0].fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'atoll'")
    assert {"migrations", "idempotency", "outbox", "inbox"} <= {row["tablename"] for row in names}
    for each in connections:
        await each.close()


class TestPure:
    def test_what_is_pending_is_what_was_not_applied(self) -> None:
        migrations, problems = read_migrations("users", "m", [("0002_b.sql", b"SELECT 2"), ("0001_a.sql", b"SELECT 1")])
        assert problems == []
        assert [migration.file for migration in migrations] == ["0001_a.sql", "0002_b.sql"]
        assert [migration.file for migration in pending(migrations, {"0001_a.sql": "x"})] == ["0002_b.sql"]

    @pytest.mark.parametrize(
        ("files", "wrong"),
        [
            (["0001_a.sql", "0002_b.sql"], []),
            (["1_a.sql"], ["1_a.sql"]),
            (["0001_A.sql"], ["0001_A.sql"]),
            (["0001_a.sql", "0001_b.sql"], ["0001_b.sql"]),
            (["0002_a.sql"], ["0002_a.sql"]),
            (["0001_a.sql", "0003_b.sql", "0005_c.sql"], ["0003_b.sql"]),
        ],
    )
    def test_names_are_numbered_without_gap_and_twice(self, files: list[str], wrong: list[str]) -> None:
        problems = migration_problems("users", "m", dict.fromkeys(files, "x"), {})
        assert [problem.place for problem in problems] == [f"m/{file}" for file in wrong]
        assert {problem.code for problem in problems} <= {"ATL2205"}
