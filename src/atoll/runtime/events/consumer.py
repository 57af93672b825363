"""Events of one topic to one handler: in order within a key, tried again, given up in the end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import TypeVar

import msgspec
import nats.errors
from nats.aio.msg import Msg

from atoll.model.launch import ConsumerOf
from atoll.runtime.events.broker import Broker, Connection, Denied, Lost, NoStream, Refused
from atoll.runtime.events.deadletters import bury
from atoll.runtime.events.handling import Handler
from atoll.runtime.events.incoming import Incoming
from atoll.runtime.events.losses import Losses, Position
from atoll.runtime.events.pull import Pull
from atoll.runtime.events.work import MOST_TOGETHER, Work
from atoll.runtime.telemetry import Telemetry
from atoll.wire.codec import Decode

logger = logging.getLogger("atoll.events")

S = TypeVar("S", bound=msgspec.Struct)

_WINDOW = 128  # messages in hand
_WINDOW_BATCH = 4 * MOST_TOGETHER
_LOOK_EVERY = 5.0  # seconds
_PAUSE = 1.0  # seconds before beginning again after what nobody expected
_TELL_WITHIN = 1.0  # seconds to tell the broker that this process ends; it may be gone as well

_ACK, _NAK, _IN_PROGRESS = b"+ACK", b"-NAK", b"+WPI"


class _Delivered(msgspec.Struct):
    consumer_seq: int = 0
    stream_seq: int = 0


class _State(msgspec.Struct):
    """What the broker knows of a consumer."""

    num_pending: int = 0
    num_ack_pending: int = 0
    delivered: _Delivered = msgspec.field(default_factory=_Delivered)


class _Kept(msgspec.Struct):
    first_seq: int
    last_seq: int


class _Stream(msgspec.Struct):
    state: _Kept


class Consumer:
    """Takes messages from its durable as long as there is a connection, and gives them to its handler.

    Within this replica, events of one key are handled one after the other in the order of the stream, also around a
    failure: the later ones wait until the earlier one is done or given up. Keys are handled beside each other.
    Another replica may have events of the same key at the same time.
    """

    def __init__(
        self, source: ConsumerOf, system: str, handler: Handler, decode: Decode, broker: Broker, telemetry: Telemetry
    ) -> None:
        self._source = source
        self._system = system
        self._decode = decode
        self._broker = broker
        self._window = _WINDOW_BATCH if handler.batch else _WINDOW
        self._held: dict[tuple[str, str], Incoming] = {}
        self._work = Work(source, handler, self, telemetry)
        self._connection: Connection | None = None
        self._pull: Pull | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        labels = {"messaging.destination.name": source.topic, "messaging.consumer.group.name": source.durable}
        self._lag = telemetry.metrics.gauge(
            "messaging.consumer.lag", "Events that wait for this consumer or are in hand.", labels
        )
        self._losses = Losses(source, telemetry)
        self._dead = telemetry.metrics.counter("messaging.dead_letters", "Events given up by this consumer.", labels)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"consumer {self._source.durable}")

    async def drain(self) -> None:
        """Take no more messages, give back those that wait, return when those at work have ended. May be cancelled."""
        self._stopping = True
        # At once: while the broker is told, a handler may end, and its worker would begin with the next event.
        self._work.hold()
        await asyncio.gather(self._tell(self._take_no_more()), self._work.drain())

    async def stop(self, timeout: float) -> None:
        """Cut what the drain left: it is rolled back and given back too. timeout: seconds for its cleaning up."""
        self._stopping = True
        await self._work.cut(timeout)
        await self._tell(self._leave())
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _tell(self, telling: Coroutine[None, None, None]) -> None:
        # What the broker does not hear it finds out: after `ack_wait` it gives them to others.
        with contextlib.suppress(Lost, TimeoutError):
            async with asyncio.timeout(_TELL_WITHIN):
                await telling

    async def _take_no_more(self) -> None:
        if self._pull is not None:
            await self._pull.stop()
        waiting = self._work.drop()
        for message in waiting:
            self.forget(message)
        if self._connection is not None:
            await self._give_back(self._connection, waiting)

    async def _leave(self) -> None:
        await self._take_no_more()
        if self._connection is not None:
            await self._give_back(self._connection, self._held.values())
            await self._connection.flush()

    async def acknowledge(self, messages: Sequence[Incoming]) -> None:
        for message in messages:
            self.forget(message)
            if message.connection is self._connection:
                with contextlib.suppress(Lost):
                    await message.connection.send(message.reply, _ACK)

    async def bury(self, message: Incoming, reason: str) -> bool:
        try:
            await bury(message.connection, self._system, self._source.durable, message, reason)
        except (nats.errors.MaxPayloadError, nats.errors.BadHeaderError) as error:
            # Nor ever will be. An answer loses nothing: it takes no event out of its stream.
            logger.error(  # noqa: TRY400 (there is no more to know)
                "event %s can be no dead letter (%s): it stays in the stream %s, as number %d, until it is too old",
                message.attributes.id,
                error,
                self._source.stream,
                message.sequence,
            )
        except (Lost, Denied, NoStream, Refused, TimeoutError, nats.errors.Error) as error:
            logger.warning("event %s can't be put to the dead letters yet: %s", message.attributes.id, error)
            return False
        self._dead.add()
        await self.acknowledge([message])
        return True

    def forget(self, message: Incoming) -> None:
        # A later delivery may have taken its place.
        if self._held.get(message.identity) is message:
            del self._held[message.identity]
            if self._pull is not None and message.connection is self._connection:
                self._pull.finished()

    async def _run(self) -> None:
        returned: dict[tuple[str, str], Incoming] = {}
        while not self._stopping:
            connection = await self._broker.connection()
            try:
                # The broker would keep them for the rest of `ack_wait`, while newer ones overtake them.
                await self._give_back(connection, returned.values())
                returned.clear()
                await self._consume(connection)
            except Lost:
                await connection.lost.wait()
            except Exception:
                logger.exception("consumer %s begins again", self._source.durable)
                await asyncio.sleep(_PAUSE)
            # Never acknowledged by another connection: should the broker have lost its newest messages, the same
            # numbers may mean other messages now. To give back the wrong one does no harm.
            returned |= self._held
            for message in self._work.drop():
                self.forget(message)
            self._connection = self._pull = None

    async def _consume(self, connection: Connection) -> None:
        """Until the connection is lost: raises Lost. Not at all once it takes no more messages."""
        # Before it is given more, or what was dropped while nobody was here could not be told from what it had.
        await self._look(connection)
        if self._stopping:
            return
        self._connection = connection
        self._pull = Pull(connection, self._source.stream, self._source.durable, self._window, self._arrived)
        tasks = [
            asyncio.create_task(self._pull.run()),
            asyncio.create_task(self._stay_in_progress(connection)),
            asyncio.create_task(self._keep_looking(connection)),
            asyncio.create_task(connection.lost.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            # Bounded: the client swallows a cancellation now and then.
            await asyncio.wait(tasks, timeout=1.0)

    def _arrived(self, message: Msg) -> None:
        assert self._connection is not None
        assert self._pull is not None
        incoming = Incoming(message, self._source.topic, self._decode, self._connection)
        held = self._held.get(incoming.identity)
        if held is not None and held.connection is self._connection:
            # It came again although it is in hand, as when this process stood still for long: one of them is enough.
            held.reply, held.deliveries = incoming.reply, incoming.deliveries
            self._pull.finished()
            return
        self._held[incoming.identity] = incoming
        self._work.add(incoming)

    async def _stay_in_progress(self, connection: Connection) -> None:
        """Tell the broker of messages that take long, so that it does not give them to another replica."""
        every = self._source.ack_wait / 3
        while True:
            await asyncio.sleep(every)
            before = time.monotonic() - every / 2
            for message in list(self._held.values()):
                if message.connection is connection and message.arrived < before:
                    await connection.send(message.reply, _IN_PROGRESS)

    async def _keep_looking(self, connection: Connection) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            await self._look(connection)

    async def _look(self, connection: Connection) -> None:
        """How much waits, and whether any of it went before it was given. Raises Lost."""
        # The stream first: what is given in between then is not taken for missed.
        stream = await self._ask(connection, f"$JS.API.STREAM.INFO.{self._source.stream}", _Stream)
        state = await self._ask_state(connection)
        if state is None:
            return
        self._lag.set(state.num_pending + state.num_ack_pending)
        if stream is not None:
            kept, newest = stream.state, state.delivered
            now = Position(
                newest.stream_seq, newest.consumer_seq, kept.first_seq, kept.last_seq, pending=state.num_pending
            )
            self._losses.look(now, time.monotonic())

    async def _ask_state(self, connection: Connection) -> _State | None:
        subject = f"$JS.API.CONSUMER.INFO.{self._source.stream}.{self._source.durable}"
        return await self._ask(connection, subject, _State)

    async def _ask(self, connection: Connection, subject: str, kind: type[S]) -> S | None:
        """What the broker knows; None where it does not say. Raises Lost."""
        try:
            return msgspec.json.decode(await connection.request(subject), type=kind)
        except (Denied, NoStream, Refused, TimeoutError) as error:
            logger.warning("the broker does not tell of consumer %s: %s", self._source.durable, error)
            return None

    async def _give_back(self, connection: Connection, messages: Iterable[Incoming]) -> None:
        """Ask the broker to deliver them again, in their order. Raises Lost."""
        waiting = sorted(messages, key=lambda each: each.sequence)
        if not waiting:
            return
        # An old request of ours may still stand in the queue of those who want messages. The broker would take the
        # first of these for it, find nobody there, and put it behind the others. Being asked, it clears the queue.
        await self._ask_state(connection)
        for message in waiting:
            await connection.send(message.reply, _NAK)
