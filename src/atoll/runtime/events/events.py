"""Everything of events in one service process, started and stopped in order."""

import asyncio
import contextlib

from atoll.model.launch import ConsumerOf, Launch
from atoll.model.resources import Database, Publisher
from atoll.model.service import Implementation
from atoll.runtime.events.broker import Broker
from atoll.runtime.events.consumer import Consumer
from atoll.runtime.events.handling import handler_of
from atoll.runtime.events.leader import Duty, Leader
from atoll.runtime.events.outbox import Outbox
from atoll.runtime.events.outgoing import Writer
from atoll.runtime.events.publisher import StreamPublisher
from atoll.runtime.events.relay import Relay
from atoll.runtime.events.schedule import Scheduled, Scheduler
from atoll.runtime.telemetry import Telemetry
from atoll.wire.codec import decoder

_LAST_RELAY = 1.0  # seconds, at the end, to relay what waits


class Events:
    """A service's events and schedules.

    Made before the service's instance, for it may want `publisher`, and its database `outbox`; started after it.
    password: of the service's user in NATS, "" where it has no messaging. dsn: of its database, "" for none.
    """

    def __init__(
        self, launch: Launch, implementation: Implementation, telemetry: Telemetry, *, password: str, dsn: str
    ) -> None:
        self._launch = launch
        self._implementation = implementation
        self._telemetry = telemetry
        self._consumers: list[Consumer] = []
        self._schedulers: list[Scheduler] = []
        self._everywhere: asyncio.Task[None] | None = None
        self._leader: Leader | None = None
        self._broker: Broker | None = None
        self._relay: Relay | None = None
        self._dsn = dsn
        self.outbox: Outbox | None = None
        self.publisher: Publisher | None = None
        messaging = launch.messaging
        if messaging is None:
            return
        self._broker = Broker(messaging.url, messaging.user, password, launch.replica)
        writer = Writer(launch.system, launch.service, implementation.publishes, telemetry)
        self.publisher = StreamPublisher(launch.system, self._broker, writer)
        if dsn and implementation.publishes:
            self.outbox = Outbox(writer, self._wake)

    @property
    def is_connected(self) -> bool:
        """Whether the broker can be reached; True where none is needed."""
        return self._broker is None or self._broker.is_connected

    async def open(self) -> None:
        """Begin to connect to the broker. Never fails: nobody has to be up."""
        if self._broker is not None:
            self._broker.start()

    def start(self, instance: object, database: Database | None) -> None:
        """Hand events to the instance's methods, relay its outbox, run its schedules. After `open`."""
        assert self._launch.messaging is None or self._broker is not None
        self._start_leading(instance, database)
        each = self._scheduled(instance, each_replica=True)
        if each:
            run = self._scheduler(each, None).run()
            self._everywhere = asyncio.create_task(run, name="schedules of each replica")
        for source in self._launch.messaging.consumes if self._launch.messaging is not None else ():
            self._consumers.append(self._consumer(source, instance, database))
            self._consumers[-1].start()

    async def drain(self, timeout: float) -> bool:
        """Take no more events, begin no more runs, finish those at work; what requests store meanwhile is relayed.

        timeout: seconds. False if they ran out.
        """
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(
                    *(consumer.drain() for consumer in self._consumers),
                    *(scheduler.drain() for scheduler in self._schedulers),
                )
        except TimeoutError:
            return False
        return True

    async def stop(self, timeout: float) -> None:
        """Cut what the drain left, relay what waits, give up the lead.

        After the last request has been answered, before the database is closed. Events that are cut come again
        elsewhere. timeout: seconds for their handlers' cleaning up.
        """
        if self._everywhere is not None:
            self._everywhere.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._everywhere
        await asyncio.gather(*(consumer.stop(timeout) for consumer in self._consumers))
        if self._leader is None:
            return
        if self._relay is not None and self._leader.leads and self.is_connected:
            # What can't be relayed now is by another replica, or by this one when it is back.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_RELAY):
                    await self._relay.settle(self._leader.wake)
        await self._leader.stop()

    async def close(self) -> None:
        """End the connection to the broker."""
        if self._broker is not None:
            await self._broker.close()

    def _wake(self) -> None:
        if self._leader is not None:
            self._leader.wake()

    def _start_leading(self, instance: object, database: Database | None) -> None:
        duties: list[Duty] = []
        # Every service with a database and a broker has the tables; who only consumes has an inbox to tidy.
        messaging = self._launch.messaging
        if messaging is not None and self._broker is not None and self._dsn:
            self._relay = Relay(self._launch.system, self._broker, self._telemetry, messaging.remembered)
            duties.append(self._relay)
        alone = self._scheduled(instance, each_replica=False)
        if alone:
            duties.append(self._scheduler(alone, database))
        if duties and self._dsn:
            self._leader = Leader(self._dsn, self._launch.replica, *duties)
            self._leader.start()

    def _scheduler(self, schedules: list[Scheduled], database: Database | None) -> Scheduler:
        self._schedulers.append(Scheduler(schedules, database, self._telemetry))
        return self._schedulers[-1]

    def _scheduled(self, instance: object, *, each_replica: bool) -> list[Scheduled]:
        return [
            Scheduled(each.method, each.seconds, getattr(instance, each.method))
            for each in self._implementation.schedules
            if each.each_replica is each_replica
        ]

    def _consumer(self, source: ConsumerOf, instance: object, database: Database | None) -> Consumer:
        assert self._broker is not None
        declared = next(
            each
            for each in self._implementation.consumers
            if (each.method, each.topic.name) == (source.method, source.topic)
        )
        handler = handler_of(
            instance, source.method, database if declared.transactional else None, batch=declared.batch
        )
        decode = decoder(declared.topic.type)
        return Consumer(source, self._launch.system, handler, decode, self._broker, self._telemetry)
