"""The one document a service process is started with."""

from typing import Annotated
from typing import Literal as OneOf

import msgspec

from atoll.model.keeping import remembered
from atoll.model.references import Source
from atoll.model.resources import KEPT_BYTES, KEPT_SECONDS

Address = Annotated[str, msgspec.Meta(pattern=r"^(https?://[^/\s]+\S*)?$")]
"""Of another program: a URL, or "" for none."""


class CallTo(msgspec.Struct, frozen=True):
    """Where a dependency is found.

    parameter: of the constructor or factory. contract: "package.module:Class". service: whom it calls.
    addresses: "http://host:port" or "unix:/path", one a replica; a host name stands for all its DNS addresses.
    """

    parameter: str
    contract: str
    service: str
    addresses: tuple[str, ...]


class DatabaseTo(msgspec.Struct, frozen=True):
    """The service's own database: where it is, and the most connections to open."""

    dsn: Source
    connections: int = 10


class ConsumerOf(msgspec.Struct, frozen=True):
    """A handler's durable consumer; times are seconds.

    attempts: tries before the event goes to the dead letters. backoff_first, backoff_most: bounds of the wait before
    another try. patience: how long an event is tried while only what its handler needs is away; such tries are not
    counted. deadline: of one try. concurrency: events at work in one replica. ack_wait: after which the broker gives
    a message to another replica when this one has not said that it still works on it; it says so three times as often.
    """

    topic: str
    method: str
    stream: str
    durable: str
    attempts: int = 10
    backoff_first: float = 0.2
    backoff_most: float = 60.0
    patience: float = 3600.0
    deadline: float = 30.0
    concurrency: int = 8
    ack_wait: float = 10.0


class StreamOf(msgspec.Struct, frozen=True):
    """A topic's stream, and what it keeps; then the oldest events go."""

    topic: str
    seconds: float = KEPT_SECONDS
    most_bytes: int = KEPT_BYTES


class Messaging(msgspec.Struct, frozen=True):
    """The broker.

    user, password: of this service alone. remembered: seconds for which the inbox knows what was handled, which is
    longer than any stream keeps what is consumed.
    """

    url: str
    user: str
    password: Source
    publishes: tuple[str, ...] = ()
    consumes: tuple[ConsumerOf, ...] = ()
    remembered: float = remembered(KEPT_SECONDS)


class Telemetry(msgspec.Struct, frozen=True):
    """Where spans and metrics go, and how log lines look.

    endpoint: what takes OTLP over HTTP, such as "http://127.0.0.1:4318"; "" for nowhere.
    headers: "name=value,name=value" of each request. sends_logs: whether log lines go there too.
    """

    endpoint: str = ""
    headers: Source | None = None
    sends_logs: bool = False
    logs: OneOf["json", "human"] = "json"


class InjectedFault(msgspec.Struct, frozen=True):
    """What a process does wrong on purpose.

    errors: the share of requests answered 500, from 0 to 1. latency: seconds by which each is late, at most a minute.
    """

    errors: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    latency: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 0.0

    def __bool__(self) -> bool:
        return bool(self.errors or self.latency)

    def __str__(self) -> str:
        parts = [f"answers 500 to {self.errors:.0%}"] if self.errors else []
        return ", ".join([*parts, *([f"is {self.latency:g} s late"] if self.latency else [])])


class FaultOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the admin port is told at PUT /fault. token: of who may tell it."""

    token: str
    fault: InjectedFault


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a service process has to know; holds references, never a secret.

    target: "package.module:name" of the class, application or factory.
    replica: "" is the name of the machine it runs on, which is a pod's.
    import_path: folders put in front of Python's own.
    listen, admin: "127.0.0.1:3000", port 0 for any.
    share_port: another process of the service may listen on the same port, as a predecessor does that still stops.
    bounds: durations that have a bound of their own in histograms, in seconds, beside the usual ones.
    fault: what it does wrong from the start. fault_token: of who may change that; None where nobody may.
    settings: the constant fields as JSON; secrets: fields to fill, by field name.
    """

    system: str
    service: str
    replica: str
    kind: OneOf["service", "asgi"]
    target: str
    import_path: tuple[str, ...] = ()
    path: str = "/"
    listen: str = "127.0.0.1:0"
    admin: str = "127.0.0.1:0"
    share_port: bool = False
    calls: tuple[CallTo, ...] = ()
    database: DatabaseTo | None = None
    messaging: Messaging | None = None
    settings: msgspec.Raw = msgspec.Raw(b"null")
    secrets: dict[str, Source] = {}
    telemetry: Telemetry = Telemetry()
    body_limit: int = 1_048_576
    concurrency: int = 1024
    deadline: float = 3.0
    grace: float = 15.0
    balancer_wait: float = 0.0
    bounds: tuple[float, ...] = ()
    fault: InjectedFault = InjectedFault()
    fault_token: Source | None = None


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """What must be there before a service starts: its tables, streams and consumers.

    migrations: folder, "" for none. outbox: whether the database keeps outbox, inbox and idempotency keys.
    streams: of the topics that the service publishes or consumes. consumes: its durable consumers.
    url, user, password: of the broker, for a user who may make streams.
    """

    system: str
    service: str
    dsn: Source | None = None
    migrations: str = ""
    url: str = ""
    user: str = ""
    password: Source | None = None
    streams: tuple[StreamOf, ...] = ()
    consumes: tuple[ConsumerOf, ...] = ()


class BrokerTo(msgspec.Struct, frozen=True):
    """Where events are looked at, and as whom. url: "nats://nats:4222"."""

    url: str
    user: str
    password: Source


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """Where the pages are that show what the collector keeps.

    listen: "127.0.0.1:8090". token: of who may look; None on loopback, where everybody of the machine may.
    state: folder of the run whose supervisor is asked; "" in a cluster, where there is none. There it is told instead:
    description: of the system; null where the supervisor can be asked for it.
    broker: None where there are no events. alertmanager: "http://alertmanager.monitoring:9093"; "" for none.
    namespace: of the alerts there that are this system's; "" on one machine.
    """

    listen: str
    token: Source | None = None
    state: str = ""
    description: msgspec.Raw = msgspec.Raw(b"null")
    broker: BrokerTo | None = None
    alertmanager: str = ""
    namespace: str = ""


class Forward(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses of programs that get what the collector stores as well; "" for none.

    jaeger: "http://127.0.0.1:4318", or anything that takes spans as OTLP over HTTP.
    zipkin: "http://127.0.0.1:9411", or anything that takes its API 2.
    opensearch: "http://127.0.0.1:9200", or Elasticsearch, for log lines.
    """

    jaeger: Address = ""
    zipkin: Address = ""
    opensearch: Address = ""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What the collector is started with.

    listen: "127.0.0.1:4318", where OTLP comes in. folder: of the store.
    logs: a folder of which each *.log is followed, named after the process that writes it; "" for none.
    namespace: of a cluster, in which the output of every pod is followed; "" for none.
    system: whose pods these are.
    kept_seconds, kept_bytes: of what is stored; 0 for the usual. dashboard: None where nobody is to look.
    forward: who gets it as well.
    """

    system: str
    listen: str
    folder: str
    logs: str = ""
    namespace: str = ""
    kept_seconds: float = 0.0
    kept_bytes: int = 0
    dashboard: Dashboard | None = None
    forward: Forward = Forward()
