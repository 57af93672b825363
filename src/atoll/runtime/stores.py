"""What a service keeps and hears: its database, keys and events, opened and closed in order.

A module of its own, imported only by processes that have any of it: asyncpg and nats take a quarter of a second.
"""

from collections.abc import Callable

from atoll.model.launch import Launch
from atoll.model.references import Source
from atoll.model.resources import Publisher
from atoll.model.service import Implementation
from atoll.runtime.database.claims import Claims
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.events.events import Events
from atoll.runtime.telemetry import Telemetry


class Stores:
    """open → start (with the instance) → drain (no more events) → stop → close."""

    def __init__(
        self, launch: Launch, implementation: Implementation, telemetry: Telemetry, reveal: Callable[[Source], str]
    ) -> None:
        self._launch, self._telemetry = launch, telemetry
        self._dsn = reveal(launch.database.dsn) if launch.database else ""
        password = reveal(launch.messaging.password) if launch.messaging else ""
        self._events = Events(launch, implementation, telemetry, password=password, dsn=self._dsn)
        self.database: PostgresDatabase | None = None
        self.claims: Claims | None = None

    @property
    def publisher(self) -> Publisher | None:
        return self._events.publisher

    async def open(self) -> None:
        """Connect. Raises DatabaseUnreachable; the broker may come later."""
        await self._events.open()
        if self._launch.database is not None:
            self.database = await PostgresDatabase.open(
                self._dsn,
                self._launch.database.connections,
                self._launch.service,
                self._telemetry,
                self._events.outbox,
            )
            self.claims = Claims(self.database)

    def start(self, instance: object) -> None:
        """Hand events to the instance, relay its outbox, run its schedules."""
        self._events.start(instance, self.database)

    async def drain(self, timeout: float) -> bool:
        """Take no more events, begin no more runs, finish those at work. False if time ran out. timeout: seconds."""
        return await self._events.drain(timeout)

    async def stop(self, timeout: float) -> None:
        """Cut what the drain left, relay what waits. timeout: seconds for the handlers' cleaning up."""
        await self._events.stop(timeout)

    async def close(self) -> None:
        if self.claims is not None:
            await self.claims.close()
        await self._events.close()
        if self.database is not None:
            await self.database.close()
