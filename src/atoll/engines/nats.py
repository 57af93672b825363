"""The broker as NATS's configuration: a user per service that may do with its own subjects what it declares."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath

from atoll.engines.engine import Command, Engine, File, HttpGet
from atoll.model.taken import BROKER_ADMIN

NAME = "nats"
ADMIN = BROKER_ADMIN


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable pull consumer of a stream; whoever prepares the streams makes it, its service only uses it."""

    stream: str
    name: str


@dataclass(frozen=True, slots=True)
class Account:
    """What one service may do: publish these subjects (its topics and its dead letters), read these consumers.

    hears: subjects that it listens to beside its inbox.
    """

    user: str
    password: str = field(repr=False)
    publishes: tuple[str, ...] = ()
    consumes: tuple[Consumer, ...] = ()
    hears: tuple[str, ...] = ()

    @property
    def inbox(self) -> str:
        """The prefix of its inboxes, to be given to the client: no other service can listen there."""
        return f"_INBOX_{self.user}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker refuses or bounds; sizes in bytes.

    message: a larger publish is refused. memory: of streams kept in memory. store: what the limits of all streams on
    disk may be together; one that does not fit in what is left is refused. Its default bounds nothing but the streams'
    own limits: it can be raised while the broker runs, and a lower one would refuse the whole configuration.
    """

    message: int = 2**20
    connections: int = 1_000
    subscriptions: int = 10_000
    memory: int = 64 * 2**20
    store: int = 2**40


@dataclass(frozen=True, slots=True)
class Broker:
    """One NATS server with JetStream.

    monitor_host: the monitor tells names of streams and clients to whoever asks; elsewhere than on loopback something
    else has to keep strangers away.
    sync_interval: seconds between two fsyncs of what was acknowledged. NATS's own default is two minutes, which is how
    long outbox rows would have to be kept for publishing again; `always` costs three quarters of the rate. With one
    second the horizon is short, and a machine that loses power loses at most a second of acknowledged messages, which
    the outbox publishes again with the same ids.
    """

    port: int
    monitor_port: int
    admin_password: str = field(repr=False)
    accounts: tuple[Account, ...] = ()
    host: str = "127.0.0.1"
    monitor_host: str = "127.0.0.1"
    sync_interval: float = 1.0
    limits: Limits = field(default_factory=Limits)


def engine(program: PurePath, broker: Broker, folder: PurePath) -> Engine:
    """NATS with its configuration and its store in `folder`."""
    command = Command(
        arguments=(str(program), "-c", str(folder / "nats.conf")),
        directory=folder,
        # Not SIGINT: SIGTERM makes it finish what it stores.
        stop_signal="SIGTERM",
        grace=10.0,
    )
    return Engine(NAME, (configuration(broker, folder),), command, HttpGet("/healthz", port=broker.monitor_port))


def configuration(broker: Broker, folder: PurePath) -> File:
    """The configuration file; NATS reads it again at SIGHUP, so that users change without a disconnect.

    It holds passwords, so only its owner may read it.
    """
    limits = broker.limits
    settings = {
        "server_name": NAME,
        "listen": f"{broker.host}:{broker.port}",
        "http": f"{broker.monitor_host}:{broker.monitor_port}",
        "max_payload": limits.message,
        "max_connections": limits.connections,
        "max_subscriptions": limits.subscriptions,
        "max_control_line": 4096,
        "write_deadline": "10s",
        "jetstream": {
            "store_dir": str(folder / "store"),
            "sync_interval": f"{broker.sync_interval:g}s",
            "max_memory_store": limits.memory,
            "max_file_store": limits.store,
        },
        "authorization": {
            # bcrypt costs 50 ms a connection and protects passwords that people choose; these are 256 random bits.
            "users": [
                {"user": ADMIN, "password": broker.admin_password},
                *(_user(account) for account in sorted(broker.accounts, key=lambda each: each.user)),
            ]
        },
    }
    return File(folder / "nats.conf", json.dumps(settings, indent=2) + "\n")


def url(host: str, port: int) -> str:
    return f"nats://{host}:{port}"


def _user(account: Account) -> dict[str, object]:
    return {
        "user": account.user,
        "password": account.password,
        "permissions": {
            "publish": {"allow": _publishable(account)},
            "subscribe": {"allow": [f"{account.inbox}.>", *account.hears]},
        },
    }


def _publishable(account: Account) -> list[str]:
    return sorted({*account.publishes, *(subject for each in account.consumes for subject in _reading(each))})


def _reading(consumer: Consumer) -> Iterable[str]:
    """What a client publishes to read a consumer: look at it and its stream, ask for messages, acknowledge them."""
    yield f"$JS.API.STREAM.INFO.{consumer.stream}"
    yield f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.name}"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
    yield f"$JS.ACK.{consumer.stream}.{consumer.name}.>"
