"""Events without an outbox, for services that have no database."""

import asyncio
import logging
import time
from typing import TypeVar

import nats.errors

from atoll.errors import EVENT_UNCONFIRMED, EventError
from atoll.model.resources import Topic
from atoll.runtime.context import current
from atoll.runtime.events.broker import ANSWER_WITHIN, Broker, Denied, Lost, NoStream, Refused, stored
from atoll.runtime.events.outgoing import Outgoing, Writer
from atoll.wire import subjects

logger = logging.getLogger("atoll.events")

E = TypeVar("E")

_PAUSE = 0.1  # seconds before an event is sent again


class StreamPublisher:
    """Publishes straight to the stream and waits for its confirmation.

    The event is as durable as the broker is: one that loses power may lose what it confirmed in the last moment.
    """

    def __init__(self, system: str, broker: Broker, writer: Writer) -> None:
        self._system = system
        self._broker = broker
        self._writer = writer

    async def publish(self, topic: Topic[E], event: E, *, event_id: str = "") -> int:
        """Store the event in the stream; returns its sequence there, from 1.

        It is sent again, under the same id, until the stream confirms it or the caller's deadline passes (5 s where
        there is none). Raises EventError then: the event may or may not be stored.
        """
        outgoing = self._writer.write(topic, event, event_id)
        context = current.get()
        left = min(context.left(), ANSWER_WITHIN) if context is not None else ANSWER_WITHIN
        until = time.monotonic() + left
        reason: Exception = TimeoutError("the broker did not answer in time")
        while (left := until - time.monotonic()) > 0:
            try:
                return await self._send(outgoing, left)
            except (Denied, nats.errors.Error) as error:
                reason = error
                break
            except (Lost, NoStream, Refused, TimeoutError) as error:
                reason = error if str(error) else reason
                await asyncio.sleep(min(_PAUSE, max(until - time.monotonic(), 0.0)))
        raise EventError(EVENT_UNCONFIRMED.at(topic=topic.name, reason=str(reason))) from reason

    async def _send(self, outgoing: Outgoing, left: float) -> int:
        connection = await self._broker.connection(left)
        subject = subjects.subject(self._system, outgoing.topic)
        async with asyncio.timeout(left):
            answer = await connection.publish(subject, outgoing.payload, outgoing.headers)
            return stored(await answer).sequence
