"""PostgreSQL's configuration, command lines, and the SQL that gives each service a database and a role of its own."""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import pbkdf2_hmac, sha256
from pathlib import PurePath
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from atoll.engines.engine import Check, Command, Engine, File, User
from atoll.model.taken import DATABASE_ADMIN

NAME = "postgres"
SUPERUSER = DATABASE_ADMIN
_ITERATIONS = 4096
_SCRAM = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")


@dataclass(frozen=True, slots=True)
class Limits:
    """connections: of the server; idle: seconds a transaction may do nothing."""

    connections: int = 200
    idle: int = 60


@dataclass(frozen=True, slots=True)
class Server:
    """One PostgreSQL server.

    programs: the folder with initdb, postgres and pg_isready.
    data: its data folder, which belongs to `user`.
    user: whom it runs as; None is the user who started us. PostgreSQL refuses to run as root.
    clients: the networks from which a password is asked for; nobody else is answered.
    """

    programs: PurePath
    data: PurePath
    port: int
    user: User | None = None
    host: str = "127.0.0.1"
    clients: tuple[str, ...] = ("127.0.0.1/32",)
    limits: Limits = field(default_factory=Limits)

    @property
    def cluster_name(self) -> str:
        """How its processes are told from those of other servers: it stands in the title of each."""
        return f"atoll-{sha256(str(self.data).encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Owner:
    """A service's database: database and role have the same name. connections: most at once; -1 is any number."""

    name: str
    password: str = field(repr=False)
    connections: int = -1


@dataclass(frozen=True, slots=True)
class Known:
    """What the server has already.

    roles: name → its SCRAM verifier, "" where we may not see it. closed: databases that PUBLIC can't connect to.
    superuser: whether whoever asks is one. connections: name → the role's limit, -1 for none. comments: of roles.
    """

    roles: Mapping[str, str]
    databases: frozenset[str]
    closed: frozenset[str]
    superuser: bool
    connections: Mapping[str, int] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)


def initdb(server: Server, target: PurePath, password_file: PurePath) -> Command:
    """Makes a data folder in `target`, which must be empty or missing."""
    return _command(
        server,
        "initdb",
        *("--pgdata", str(target), "--username", SUPERUSER, "--pwfile", str(password_file)),
        *("--auth", "scram-sha-256", "--encoding", "UTF8"),
        # Sorted by code point and the same on every machine: the wheel has no ICU, and libc's order changes with it.
        *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
    )


def engine(server: Server) -> Engine:
    """PostgreSQL in a data folder that `initdb` made."""
    asked = ("--host", server.host, "--port", str(server.port), "--username", SUPERUSER, "--timeout", "2")
    ready = _command(replace(server, user=None), "pg_isready", *asked)
    run = _command(server, "postgres", "-D", str(server.data))
    return Engine(NAME, configuration(server), run, Check(ready, server.data / "postmaster.pid"))


def configuration(server: Server) -> tuple[File, ...]:
    """postgresql.conf and pg_hba.conf, whole: what initdb wrote is replaced."""
    lines = [f"{name} = {value}" for name, value in _settings(server).items()]
    access = "".join(f"host all all {network} scram-sha-256\n" for network in server.clients)
    return (
        File(server.data / "postgresql.conf", "\n".join(lines) + "\n"),
        File(server.data / "pg_hba.conf", f"# Passwords from these networks, and nothing else.\n{access}"),
    )


def _settings(server: Server) -> dict[str, object]:
    return {
        "listen_addresses": literal(server.host),
        "port": server.port,
        # A socket's path may have 107 bytes, fewer than a project's folder easily has; and every client has TCP.
        "unix_socket_directories": "''",
        "max_connections": server.limits.connections,
        "cluster_name": literal(server.cluster_name),
        "password_encryption": "'scram-sha-256'",
        # Never off, not even here: it would win 3 % over synchronous_commit = off, and lose the database in a crash.
        "fsync": "on",
        "shared_buffers": "'128MB'",
        "max_wal_size": "'512MB'",
        "min_wal_size": "'80MB'",
        # Compiling a query costs more than it wins in queries that last milliseconds.
        "jit": "off",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "datestyle": "'iso, ymd'",
        "default_text_search_config": "'pg_catalog.english'",
        "lc_messages": "'C'",
        # Through the supervisor, which keeps one file a process.
        "log_destination": "'stderr'",
        "logging_collector": "off",
        "log_line_prefix": "'%m [%p] %q%u@%d '",
        "log_min_duration_statement": "'1s'",
        "log_lock_waits": "on",
        "log_checkpoints": "off",
    }


def _command(server: Server, program: str, *arguments: str) -> Command:
    return Command(
        arguments=(str(server.programs / program), *arguments),
        environment={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
        directory=server.data.parent,
        user=server.user,
        # Fast shutdown: transactions are rolled back, the rest is written; SIGTERM would wait for the clients.
        stop_signal="SIGINT",
        end_signal="SIGINT",
        grace=30.0,
    )


def dsn(*, host: str, port: int, user: str, password: str, database: str) -> str:
    """A connection URL; every part may hold any character."""
    return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/{quote(database, safe='')}"


def redirected(url: str, database: str, owner: Owner | None = None) -> str:
    """The same server and options, another database, and the credentials of `owner` if given."""
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    if owner is not None:
        credentials, at = f"{quote(owner.name, safe='')}:{quote(owner.password, safe='')}", "@"
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}{host}", path=f"/{quote(database, safe='')}"))


def password_of(url: str) -> str:
    """The password in a DSN, "" if it has none."""
    return unquote(urlsplit(url).password or "")


def address(url: str) -> str:
    """Host and port of a DSN, fit to be shown: without the password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def identifier(name: str) -> str:
    """A name in SQL, quoted."""
    return '"' + name.replace('"', '""') + '"'


MOST_CONNECTIONS = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
"""
IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
MAY_CREATE = "SELECT rolsuper OR (rolcreaterole AND rolcreatedb) FROM pg_roles WHERE rolname = current_user"
# What `Known` is read from. The first fails for anybody but a superuser; the second is for the others.
ROLES = """
SELECT rolname AS name, coalesce(rolpassword, '') AS verifier, rolconnlimit AS connections,
       coalesce(shobj_description(oid, 'pg_authid'), '') AS comment
FROM pg_authid
"""
ROLES_WITHOUT_VERIFIER = """
SELECT rolname AS name, '' AS verifier, rolconnlimit AS connections,
       coalesce(shobj_description(oid, 'pg_authid'), '') AS comment
FROM pg_roles
"""
DATABASES = """
SELECT datname AS name, NOT has_database_privilege('public', oid, 'CONNECT') AS closed FROM pg_database
"""


def closing(known: Known) -> list[str]:
    """The SQL that keeps services out of the databases every server has; for a server of our own only."""
    doors = sorted({"postgres", "template1"} & known.databases - known.closed)
    return [f"REVOKE ALL ON DATABASE {name} FROM PUBLIC" for name in doors]


def statements(owners: Iterable[Owner], known: Known, limits: Limits, salt: bytes, *, mark: str = "") -> list[str]:
    """The SQL that is still to be run, in this order and each by itself, until every owner has its database.

    No password is in it, only verifiers. What exists is left as it is: run again, it is an empty list. Limits are
    raised and never lowered: a higher one is an administrator's, or that of a version that still leaves.
    salt: 16 random bytes. mark: the comment of each role that has none, made with the role itself; "" for no comment.
    """
    todo: list[str] = []
    for owner in owners:
        comment = f"COMMENT ON ROLE {identifier(owner.name)} IS {literal(mark)}"
        todo += _role(owner, known, limits, salt, comment if mark and not known.comments.get(owner.name) else "")
        name = identifier(owner.name)
        if owner.name not in known.databases:
            # Who is no superuser may give a database only to roles it is a member of.
            todo += [] if known.superuser else [f"GRANT {name} TO CURRENT_USER"]
            todo.append(f"CREATE DATABASE {name} OWNER {name}")
        if owner.name not in known.closed:
            todo.append(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    return todo


def _role(owner: Owner, known: Known, limits: Limits, salt: bytes, comment: str) -> list[str]:
    name, present = identifier(owner.name), known.roles.get(owner.name)
    password = f"PASSWORD {literal(verifier(owner.password, salt))}"
    if present is not None:
        todo = [] if proves(present, owner.password) else [password]
        if 0 <= known.connections.get(owner.name, -1) < owner.connections:
            todo.append(f"CONNECTION LIMIT {owner.connections}")
        return [*([f"ALTER ROLE {name} {' '.join(todo)}"] if todo else []), *([comment] if comment else [])]
    # Roles of one server see each other's names, and nothing else of each other.
    created = f"CREATE ROLE {name} LOGIN NOCREATEDB NOCREATEROLE CONNECTION LIMIT {owner.connections} {password}"
    return [
        f"{created}; {comment}" if comment else created,
        f"ALTER ROLE {name} SET idle_in_transaction_session_timeout = '{limits.idle}s'",
    ]


def verifier(password: str, salt: bytes) -> str:
    """What PostgreSQL stores instead of the password (RFC 5803), so that it need not travel in SQL."""
    return _verifier(password, salt, _ITERATIONS)


def proves(stored: str, password: str) -> bool:
    """Whether `stored` is a verifier of this password."""
    found = _SCRAM.fullmatch(stored)
    if found is None:
        return False
    return hmac.compare_digest(stored, _verifier(password, b64decode(found[2]), int(found[1])))


def _verifier(password: str, salt: bytes, iterations: int) -> str:
    salted = pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def literal(text: str) -> str:
    """A text in SQL, quoted."""
    return "'" + text.replace("'", "''") + "'"
