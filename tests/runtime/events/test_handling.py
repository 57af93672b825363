"""For whom an event is handled."""

from datetime import UTC, datetime
from typing import cast

from nats.aio.msg import Msg

from atoll.runtime.context import NOBODY, Identity
from atoll.runtime.events.broker import Connection
from atoll.runtime.events.handling import batch_context_of
from atoll.runtime.events.incoming import Incoming
from atoll.wire.cloudevents import Attributes, write
from atoll.wire.codec import decoder

REPLY = "$JS.ACK.orders.worker.1.7.7.1764100000000000000.0"


def of(subject: str, scopes: str = "") -> Incoming:
    headers = write(Attributes("1", "/a", "a.b", datetime.now(UTC), subject=subject, scopes=scopes))
    message = Msg(_client=None, subject="evt.a.b", reply=REPLY, data=b"1", headers=headers)  # type: ignore[arg-type]
    return Incoming(message, "b", decoder(int), cast(Connection, None))


def test_who_caused_an_event_is_the_caller_of_what_follows() -> None:
    assert batch_context_of([of("ada", "a b")], 1.0).caller == Identity("ada", frozenset("ab"))
    assert batch_context_of([of("")], 1.0).caller is NOBODY


def test_in_a_batch_nobody_acts_for_somebody_else() -> None:
    assert batch_context_of([of("ada", "a"), of("ada", "a")], 1.0).caller == Identity("ada", frozenset("a"))
    assert batch_context_of([of("ada", "a"), of("bob", "a")], 1.0).caller is NOBODY
    assert batch_context_of([of("ada", "a"), of("ada", "b")], 1.0).caller is NOBODY
