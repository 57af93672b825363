"""A message as a consumer got it."""

import time
from datetime import UTC, datetime

from nats.aio.msg import Msg

from atoll.model.resources import Event
from atoll.runtime.events.broker import Connection
from atoll.wire.cloudevents import Attributes, read
from atoll.wire.codec import Decode, Unreadable

_NANOSECONDS = 1_000_000_000


class Incoming:
    """One delivery of an event, and what this process has tried with it.

    event: the value; unreadable: why there is none, "" if there is.
    reply: where to acknowledge it; only by the connection that brought it, for after a loss of the broker's memory
    the same place may mean another message. deliveries: by the broker, from 1.
    failures: tries here that failed; tried: those that count. failed_at: time.monotonic() of the first.
    """

    __slots__ = (
        "arrived",
        "attributes",
        "connection",
        "deliveries",
        "event",
        "failed_at",
        "failures",
        "headers",
        "payload",
        "reply",
        "sequence",
        "subject",
        "topic",
        "tried",
        "unreadable",
    )

    def __init__(self, message: Msg, topic: str, decode: Decode, connection: Connection) -> None:
        self.subject = message.subject
        self.payload = message.data
        self.headers = message.headers or {}
        self.reply = message.reply
        self.topic = topic
        self.connection = connection
        self.deliveries, self.sequence, stored = _position(message.reply)
        self.attributes: Attributes = read(
            self.headers, fallback_id=f"{topic}-{self.sequence}", stored=datetime.fromtimestamp(stored, UTC)
        )
        self.arrived = time.monotonic()
        self.failures = self.tried = 0
        self.failed_at = 0.0
        self.unreadable = ""
        self.event: object = None
        try:
            self.event = decode(message.data)
        except Unreadable as error:
            self.unreadable = f"its value can't be read: {error}"[:1000]
        except Exception as error:  # noqa: BLE001 (a type may have code of its own, which raises whatever it likes)
            self.unreadable = f"its value can't be made: {type(error).__name__}: {error}"[:1000]

    @property
    def identity(self) -> tuple[str, str]:
        """The same for every delivery of the same message."""
        return self.attributes.id, self.subject

    def about(self) -> Event:
        """What a handler may know of the event beside its value."""
        known = self.attributes
        attempt = self.deliveries + self.failures
        return Event(known.id, self.topic, known.key, known.time, attempt)


def _position(reply: str) -> tuple[int, int, float]:
    """Deliveries, sequence in the stream, and when it was stored (seconds of the epoch), as the reply subject says.

    $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>, or with
    domain and account before the stream and a random token behind. Source: NATS ADR-15.
    """
    tokens = reply.split(".")
    first = 4 if len(tokens) == 9 else 6
    return int(tokens[first]), int(tokens[first + 1]), int(tokens[first + 3]) / _NANOSECONDS
