"""SQL is cut and named by reading it, never by running it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.runtime.database.sql import leaves_state, statements, summarize, tokens


def cut(sql: str) -> list[tuple[int, str]]:
    return [(statement.line, statement.text) for statement in statements(sql)]


def test_a_file_is_cut_at_its_semicolons_and_each_statement_knows_its_line() -> None:
    sql = "-- users\nCREATE TABLE a (id int);\n\n\nINSERT INTO a\nVALUES (1);\n"
    assert cut(sql) == [(2, "CREATE TABLE a (id int)"), (5, "INSERT INTO a\nVALUES (1)")]


@pytest.mark.parametrize(
    "one",
    [
        "SELECT ';'",
        "SELECT 'it''s; fine'",
        r"SELECT E'\'; still'",
        'SELECT 1 AS "a;""b"',
        "SELECT 1 /* ; /* nested ; */ ; */ + 1",
        "SELECT 1 -- ; no end\n + 1",
        "CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql",
        "CREATE FUNCTION f() RETURNS int AS $body$ SELECT '$$;'; $body$ LANGUAGE sql",
        "CREATE RULE r AS ON INSERT TO a DO ALSO (DELETE FROM b; DELETE FROM c)",
        "CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 2 ELSE 3 END; END",
        "SELECT $1, a$b FROM t$x$",
    ],
)
def test_a_semicolon_inside_something_ends_no_statement(one: str) -> None:
    assert [text for _, text in cut(f"{one}; SELECT 2;")] == [one, "SELECT 2"]


@pytest.mark.parametrize("sql", ["", " ;; -- nothing\n ; /* at all */", "\n"])
def test_what_holds_no_statement_gives_none(sql: str) -> None:
    assert cut(sql) == []


@given(st.text(alphabet="abe'\"$-*/;()\\\n E1é", max_size=60))
def test_every_character_is_in_exactly_one_token(sql: str) -> None:
    assert "".join(token.text for token in tokens(sql)) == sql
    assert all(sql.startswith(token.text, token.start) for token in tokens(sql))


@pytest.mark.parametrize(
    ("sql", "ends"),
    [
        ("BEGIN", True),
        ("commit work", True),
        ("/* hm */ ROLLBACK", True),
        ("START TRANSACTION READ ONLY", True),
        ("ROLLBACK TO SAVEPOINT a", False),
        ("SAVEPOINT a", False),
        ("SELECT 'commit'", False),
    ],
)
def test_statements_that_begin_or_end_a_transaction_are_known(sql: str, ends: bool) -> None:
    assert statements(sql)[0].ends_transaction == ends


@pytest.mark.parametrize(
    ("sql", "operation", "text"),
    [
        ("select * from products where id = 'secret'", "SELECT", "SELECT products"),
        ("SELECT p.id FROM products p JOIN shop.stock s ON true", "SELECT", "SELECT products shop.stock"),
        ("INSERT INTO orders (id) VALUES ($1)", "INSERT", "INSERT orders"),
        ("UPDATE ONLY users SET name = $1", "UPDATE", "UPDATE users"),
        ("WITH old AS (SELECT id FROM a) DELETE FROM b WHERE id IN (SELECT id FROM old)", "DELETE", "DELETE a b old"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "SELECT", "SELECT x"),
        ('DELETE FROM "Odd Name"', "DELETE", 'DELETE "Odd Name"'),
        ("SELECT id FROM jobs FOR UPDATE SKIP LOCKED", "SELECT", "SELECT jobs"),
        ("", "", ""),
    ],
)
def test_a_statement_is_named_by_what_it_does_and_to_which_tables(sql: str, operation: str, text: str) -> None:
    assert (summarize(sql).operation, summarize(sql).text) == (operation, text)


@pytest.mark.parametrize(
    ("sql", "leaves"),
    [
        ("SET search_path = a", True),
        ("SELECT set_config('a.b', 'c', false)", True),
        ("SELECT pg_advisory_lock(1)", True),
        ("CREATE TEMP TABLE a (id int)", True),
        ("LISTEN news", True),
        ("BEGIN", True),
        ("SELECT 1; SET a = b", True),
        ("UPDATE a SET b = 1;", False),
        ("SELECT pg_advisory_xact_lock(1)", False),
        ("SELECT * FROM templates", False),
    ],
)
def test_statements_after_which_the_session_is_another_are_known(sql: str, leaves: bool) -> None:
    assert leaves_state(sql, summarize(sql).operation) == leaves
