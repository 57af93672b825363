"""What a service may need beside other services: database, transaction, topic, publisher, caller, secret."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec

KEPT_SECONDS = 7 * 86_400.0
KEPT_BYTES = 128 * 2**20

E = TypeVar("E")  # invariant: a wrong publish would otherwise join to object and pass
T = TypeVar("T")


@dataclass(frozen=True)
class AnyTopic:
    """A topic of whatever event; lets several stand in one @publishes."""

    name: str
    type: type[object]
    key: str = ""
    kept_seconds: float = KEPT_SECONDS
    kept_bytes: int = KEPT_BYTES


@dataclass(frozen=True)
class Topic(AnyTopic, Generic[E]):
    """Events of one type under one name, published by one service.

    name: a DNS label such as "order-placed".
    type: of the event: a struct, dataclass or pydantic model.
    key: the field whose value keeps its events in order; "" means no order is asked for.
    kept_seconds, kept_bytes: how long its events are kept and how much they take at most, 7 days and 128 MiB; then the
        oldest goes, whether or not every consumer had it. An alert tells of a consumer that is half as far behind.
    """

    name: str
    type: type[E]
    key: str = ""
    kept_seconds: float = KEPT_SECONDS
    kept_bytes: int = KEPT_BYTES


@dataclass(frozen=True)
class Secret:
    """The name of a secret value: an entry of environments/local.toml here, a Kubernetes Secret in the cluster.

    key: the key inside the Kubernetes Secret; "value" if there is but one.

    In a settings struct a field of this type holds the name in the declaration and the value in the service,
    where `reveal()` gives it; it is never printed.
    """

    name: str
    key: str = "value"
    value: str = ""

    def reveal(self) -> str:
        """The value itself; "" outside a running service."""
        return self.value

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"


@dataclass(frozen=True)
class Postgres:
    """A database and a role of the service's own.

    migrations: folder with 0001_name.sql, ..., relative to the system file; "" for none.
    dsn: a secret with the address of an existing database; None: atoll makes one.
    connections: most connections that one replica opens for its operations and handlers. It holds one more if it has an
        outbox or a schedule, to be elected the one that looks after them, one for the locks of idempotency keys, and
        for a moment one more while it prepares the database.
    """

    migrations: str = ""
    dsn: Secret | None = None
    connections: int = 10


@dataclass(frozen=True)
class Replicas:
    """At least and at most this many replicas; in between the autoscaler decides."""

    least: int
    most: int


class Caller(Protocol):
    """Who asks for what is done just now, as the gateway verified it; a constructor parameter of this type has it.

    It follows the request from service to service, and the events of it to their consumers.

    subject: whose token or key it is; "" where nobody is known. scopes: what the caller may do.
    """

    @property
    def subject(self) -> str:
        """Whose token or key it is; "" where nobody is known."""
        ...

    @property
    def scopes(self) -> frozenset[str]:
        """What the caller may do."""
        ...


class Queries(Protocol):
    """Statements: see Database."""

    async def one(self, into: type[T], sql: str, *arguments: object) -> T | None:
        """The first row, or None if there is none."""
        ...

    async def all(self, into: type[T], sql: str, *arguments: object) -> list[T]:
        """Every row. Put a LIMIT into statements whose size a caller decides."""
        ...

    async def value(self, into: type[T], sql: str, *arguments: object) -> T | None:
        """The first column of the first row; None if there is no row or it is NULL."""
        ...

    async def execute(self, sql: str, *arguments: object) -> int:
        """How many rows were inserted, changed or deleted."""
        ...


class Transaction(Queries, Protocol):
    """Everything done with it is stored together, or not at all."""

    async def publish(self, topic: Topic[E], event: E) -> None:
        """Publish the event if and when the transaction commits; at least once, in order within its key.

        Raises EventError when the service does not declare the topic.
        """
        ...

    def answer(self, value: T) -> T:
        """Keep the value as the answer under the caller's Idempotency-Key, and return it."""
        ...


class Database(Queries, Protocol):
    """The service's own database: SQL with PostgreSQL's own $1, $2 placeholders.

    Rows become structs, dataclasses or plain values by column name. Every statement ends with the caller's deadline.
    Raises QueryFailed or ConstraintViolated, and another DatabaseError where no answer came in time.
    """

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """BEGIN; COMMIT at the end of the block, ROLLBACK if it raises.

        Make no calls to other services inside: they would hold its locks. atoll logs a warning if you do.
        """
        ...


class Publisher(Protocol):
    """Publishes outside of any transaction, for services without a database."""

    async def publish(self, topic: Topic[E], event: E, *, event_id: str = "") -> int:
        """Store the event in the stream; returns its sequence there, from 1.

        event_id: publishing again with the same id stores nothing twice within the dedupe window; "" makes one.
        Raises EventError if the stream does not confirm in time: the event may or may not be stored.
        """
        ...


class Event(msgspec.Struct, frozen=True):
    """What is known of an event beside its value; a consumer that wants it has a parameter `about: Event`.

    id: the same each time it comes, so a key for what must happen once elsewhere. time: of its publication.
    attempt: 1 for the first.
    """

    id: str
    topic: str
    key: str
    time: datetime
    attempt: int


@dataclass(frozen=True)
class Limits:
    """The bounds of one service's server.

    body: most bytes of a request's body; more is answered 413.
    concurrency: most requests at work in one replica; more are answered 503, as are fewer while it is overloaded.
    deadline: seconds for a call whose caller set none.
    grace: seconds from SIGTERM to the end.
    """

    body: int = 1_048_576
    concurrency: int = 1024
    deadline: float = 3.0
    grace: float = 15.0
