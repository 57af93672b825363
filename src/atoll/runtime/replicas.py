"""The replicas of a service, and the connections to each."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence

from atoll.runtime import balancing
from atoll.runtime.connection import Connection, StreamConnection, connect
from atoll.runtime.discovery import Address, Endpoint, look_up, read_address
from atoll.runtime.resilience.policy import Policy

IDLE = 4.0
"""Seconds that a connection is kept unused. Below the 5 s after which uvicorn and Node.js close theirs, so that
hardly a request is written to a connection that the peer is closing."""
PERIOD = 5.0
"""Seconds between two look-ups of host names."""
SOONEST = 1.0
"""Seconds between two look-ups when connections fail."""
STREAM_BUFFER = 262_144
"""Bytes of a stream that wait to be read before the callee is made to wait."""

Replica = balancing.Replica[Endpoint, list[Connection]]

Resolve = Callable[[Sequence[Address]], Awaitable[tuple[list[Endpoint], list[str]]]]
"""Every endpoint that addresses stand for now, and the host names that were not found."""

logger = logging.getLogger("atoll.client")


class Replicas:
    """Knows where a service is, and keeps connections that are free.

    A connection is taken from here, or opened, by one call at a time and given back when the call's answer was whole;
    so there are at most as many as calls under way, and the bulkhead bounds them.
    """

    def __init__(
        self,
        service: str,
        addresses: Sequence[str],
        policy: Policy,
        chance: Callable[[], float],
        resolve: Resolve = look_up,
    ) -> None:
        """Raises ValueError for what is no address."""
        self._resolve = resolve
        self._service = service
        self._addresses = [read_address(address) for address in addresses]
        self._policy = policy
        secure = any(address.secure for address in self._addresses)
        self._tls = ssl.create_default_context() if secure else None
        self.outside = secure
        """Whether it may be somebody else's: only then is it reached by TLS of its own."""
        self.most_bytes = policy.answer
        self._balancer = balancing.Balancer[Endpoint, list[Connection]](chance, list)
        self._look = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._missing: list[str] = []
        self._closed = False
        self.pick = self._balancer.pick
        self.elsewhere = self._balancer.elsewhere
        known = [address.endpoint for address in self._addresses if address.endpoint is not None]
        self._named = len(known) < len(self._addresses)
        self._balancer.replace(known, time.monotonic())

    async def open(self) -> None:
        """Look the names up. Does not fail: nobody has to be there yet, and what is found later is used then."""
        if self._named:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._policy.connect):
                    await self._refresh()
        self._watcher = asyncio.create_task(self._watch(), name=f"replicas of {self._service}")

    async def close(self) -> None:
        self._closed = True
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        for replica in self._balancer.replicas:
            self.drop(replica)
        # The transports tell their connections at the end of the loop's present round.
        await asyncio.sleep(0)

    def take(self, replica: Replica, now: float) -> Connection | None:
        """A free connection that the peer has not closed, as far as can be known here."""
        idle = replica.resources
        while idle:
            connection = idle.pop()
            if now - connection.idle_since > IDLE:
                # It was the one used last; the rest are older still.
                connection.abort()
                self.drop(replica)
            elif not connection.closed:
                return connection
        return None

    def give(self, replica: Replica, connection: Connection, now: float) -> None:
        """The connection is free again. now: when its last call began, or later."""
        if connection.closed:
            return
        if replica.gone or self._closed:
            connection.abort()
            return
        connection.idle_since = now
        replica.resources.append(connection)

    async def connect(self, replica: Replica, left: float) -> Connection:
        """A new connection. Raises OSError; nothing was sent then."""
        return await connect(
            replica.endpoint, lambda: Connection(self._policy.answer), self._tls, min(self._policy.connect, left)
        )

    async def connect_stream(self, replica: Replica, left: float) -> StreamConnection:
        """The same for a stream, which has a connection of its own."""
        timeout = min(self._policy.connect, left)
        return await connect(replica.endpoint, lambda: StreamConnection(STREAM_BUFFER), self._tls, timeout)

    def drop(self, replica: Replica) -> None:
        """Close the replica's free connections."""
        for connection in replica.resources:
            connection.abort()
        replica.resources.clear()

    def answered(self, replica: Replica, now: float) -> None:
        """The replica answered. Need only be called where `replica.failures` is not 0."""
        self._balancer.succeeded(replica, now)

    def failed(self, replica: Replica, now: float, *, reached: bool) -> None:
        """The replica did not answer, or with an error of its own; reached: it took the connection."""
        self._balancer.failed(replica, now, reached=reached)
        if not reached:
            self._look.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SOONEST)
            # Of a service that nobody is known of yet, the first replica is wanted as soon as it is there.
            if self._balancer.replicas:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PERIOD - SOONEST):
                        await self._look.wait()
            self._look.clear()
            if self._named:
                await self._refresh()
            self._tidy(time.monotonic())

    async def _refresh(self) -> None:
        endpoints, missing = await self._resolve(self._addresses)
        if missing != self._missing:
            self._missing = missing
            if missing:
                logger.warning("%s: no address is known for %s", self._service, ", ".join(missing))
        if missing and not endpoints:
            # The name server may be what is ill: what was known last is the best guess.
            return
        for replica in self._balancer.replace(endpoints, time.monotonic()):
            self.drop(replica)

    def _tidy(self, now: float) -> None:
        for replica in self._balancer.replicas:
            keep = [each for each in replica.resources if not each.closed and now - each.idle_since <= IDLE]
            for connection in replica.resources:
                if connection not in keep:
                    connection.abort()
            replica.resources[:] = keep
