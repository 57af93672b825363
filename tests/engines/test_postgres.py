import asyncpg
import pytest

from atoll.engines import postgres
from atoll.engines.postgres import Known, Limits, Owner

SALT = bytes(range(16))
NOTHING = Known({}, frozenset(("postgres", "template1")), frozenset(), superuser=True)


def test_a_new_service_gets_a_role_and_a_database_that_nobody_else_may_enter() -> None:
    made = postgres.statements([Owner("users", "pw", 7)], NOTHING, Limits(), SALT)
    assert made[0].startswith('CREATE ROLE "users" LOGIN NOCREATEDB NOCREATEROLE CONNECTION LIMIT 7 PASSWORD \'SCRAM-')
    assert made[1:] == [
        "ALTER ROLE \"users\" SET idle_in_transaction_session_timeout = '60s'",
        'CREATE DATABASE "users" OWNER "users"',
        'REVOKE ALL ON DATABASE "users" FROM PUBLIC',
    ]


def test_what_is_there_already_is_left_as_it_is() -> None:
    known = Known({"users": postgres.verifier("pw", SALT)}, frozenset(["users"]), frozenset(["users"]), superuser=True)
    assert postgres.statements([Owner("users", "pw")], known, Limits(), SALT) == []


def test_a_changed_password_is_set_again_and_nothing_else_is_done() -> None:
    known = Known({"users": postgres.verifier("old", SALT)}, frozenset(["users"]), frozenset(["users"]), superuser=True)
    (only,) = postgres.statements([Owner("users", "new")], known, Limits(), SALT)
    assert only.startswith('ALTER ROLE "users" PASSWORD \'SCRAM-SHA-256$4096:')


@pytest.mark.parametrize(("limit", "done"), [(60, ['ALTER ROLE "users" CONNECTION LIMIT 120']), (300, []), (-1, [])])
def test_a_limit_is_raised_for_more_replicas_and_never_lowered(limit: int, done: list[str]) -> None:
    users, stored = frozenset(["users"]), postgres.verifier("pw", SALT)
    known = Known({"users": stored}, users, users, superuser=True, connections={"users": limit})
    assert postgres.statements([Owner("users", "pw", 120)], known, Limits(), SALT) == done


def test_no_password_is_written_into_sql() -> None:
    made = postgres.statements([Owner("users", "very-secret")], NOTHING, Limits(), SALT)
    assert "very-secret" not in " ".join(made)
    assert "very-secret" not in repr(Owner("users", "very-secret"))


def test_who_is_no_superuser_joins_the_role_before_giving_it_a_database() -> None:
    known = Known({}, frozenset(), frozenset(), superuser=False)
    made = postgres.statements([Owner("users", "pw")], known, Limits(), SALT)
    assert made.index('GRANT "users" TO CURRENT_USER') < made.index('CREATE DATABASE "users" OWNER "users"')


def test_a_role_is_marked_together_with_its_making_or_where_it_has_no_comment() -> None:
    new, *_ = postgres.statements([Owner("users", "pw")], NOTHING, Limits(), SALT, mark="atoll: shop, here")
    assert new.startswith("CREATE ROLE")
    assert new.endswith("; COMMENT ON ROLE \"users\" IS 'atoll: shop, here'")
    users, stored = frozenset(["users"]), postgres.verifier("pw", SALT)
    for comment, done in (("", 1), ("atoll: shop, here", 0), ("Ask Ann", 0)):
        known = Known({"users": stored}, users, users, superuser=True, comments={"users": comment})
        assert len(postgres.statements([Owner("users", "pw")], known, Limits(), SALT, mark="atoll: shop, here")) == done


def test_the_databases_that_every_server_has_are_closed_once() -> None:
    assert postgres.closing(NOTHING) == [
        "REVOKE ALL ON DATABASE postgres FROM PUBLIC",
        "REVOKE ALL ON DATABASE template1 FROM PUBLIC",
    ]
    done = Known({}, NOTHING.databases, NOTHING.databases, superuser=True)
    assert postgres.closing(done) == []


def test_a_verifier_proves_its_password_alone() -> None:
    stored = postgres.verifier("pencil", SALT)
    assert postgres.proves(stored, "pencil")
    assert not postgres.proves(stored, "pen")
    assert not postgres.proves("md5d41d8cd98f00b204e9800998ecf8427e", "pencil")
    assert not postgres.proves("", "pencil")


def test_names_with_quotes_stay_names() -> None:
    assert postgres.identifier('a"b') == '"a""b"'


@pytest.mark.parametrize("password", ["simple", "p@ss:w/rd?#%&=", "ünï cödé", "'\"\\"])
def test_a_dsn_carries_any_password(password: str) -> None:
    url = postgres.dsn(host="127.0.0.1", port=5432, user="a b", password=password, database="d/e")
    addresses, parameters = asyncpg.connect_utils._parse_connect_dsn_and_args(  # type: ignore[attr-defined]
        dsn=url,
        host=None,
        port=None,
        user=None,
        password=None,
        passfile=None,
        database=None,
        ssl=None,
        service=None,
        servicefile=None,
        direct_tls=None,
        server_settings=None,
        target_session_attrs=None,
        krbsrvname=None,
        gsslib=None,
    )
    assert addresses == [("127.0.0.1", 5432)]
    assert (parameters.user, parameters.password, parameters.database) == ("a b", password, "d/e")


def test_a_dsn_is_redirected_to_another_database_with_its_options() -> None:
    url = "postgresql://admin:pw@db.example:6432/postgres?sslmode=require"
    assert postgres.redirected(url, "users") == "postgresql://admin:pw@db.example:6432/users?sslmode=require"
    assert (
        postgres.redirected(url, "users", Owner("users", "a/b"))
        == "postgresql://users:a%2Fb@db.example:6432/users?sslmode=require"
    )
    assert postgres.address(url) == "db.example:6432"
