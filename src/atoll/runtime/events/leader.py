"""Which of a service's replicas does what only one may do: relay the outbox, run what is due."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Protocol

import asyncpg

from atoll.runtime.database.locks import lock_key

logger = logging.getLogger("atoll.events")

_LOCK = lock_key("leader")  # advisory locks are the database's own, so every service has this one
_CHANNEL = "atoll_outbox"
_LOOK_EVERY = 1.0  # seconds between attempts of a replica that stands by
_RETRY_FIRST, _RETRY_MOST = 0.1, 5.0  # seconds between attempts to connect
_WITHIN = 10.0  # seconds for a statement
# PostgreSQL ends the session, and with it the lock, of a machine that is gone: after 5 s of silence and 3 probes.
_SESSION: Mapping[str, str] = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}


class Duty(Protocol):
    """Something that only the leader does."""

    async def lead(self, connection: "asyncpg.Connection[asyncpg.Record]", woken: asyncio.Event) -> None:
        """Do it until cancelled; whatever is under way then must not be harmed by another leader's beginning it again.

        connection: the leader's own, for one duty alone. woken: set when a transaction has stored events.
        """
        ...


class Leader:
    """Stands for election by an advisory lock, and does its duties while it holds it.

    The lock belongs to a connection of its own: when the process, its machine or the connection ends, PostgreSQL frees
    the lock, and another replica takes over within about a second. A moment with two leaders is possible, when the
    old one has not noticed yet; duties must bear that.
    """

    def __init__(self, dsn: str, name: str, *duties: Duty) -> None:
        self._dsn = dsn
        self._name = name
        self._duties = duties
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.leads = False

    def start(self) -> None:
        """Begin to stand for election."""
        self._task = asyncio.create_task(self._run(), name="leader")

    async def stop(self) -> None:
        """End the duties and give up the lock."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Events have been stored: whoever leads, here or elsewhere, looks at the outbox now."""
        self._woken.set()

    async def _run(self) -> None:
        wait = _RETRY_FIRST
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn,
                    timeout=_WITHIN,
                    command_timeout=_WITHIN,
                    server_settings={"application_name": f"{self._name} leader", **_SESSION},
                )
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                logger.warning("the database can't be reached to elect a leader: %s", error)
            else:
                wait = _RETRY_FIRST
                await self._with(connection)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _RETRY_MOST)

    async def _with(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Stand by, then lead, for as long as the connection lives."""
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        try:
            await self._stand_by(connection)
            await connection.add_listener(_CHANNEL, lambda *_: self._woken.set())
            self.leads = True
            logger.info("%s leads: it relays the outbox and runs what is due", self._name)
            await self._lead(connection, gone)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            logger.warning("%s gives up the lead: %s", self._name, str(error) or type(error).__name__)
        except Exception:
            logger.exception("%s gives up the lead", self._name)
        finally:
            self.leads = False
            # Not close(): it would wait for a server that may be gone.
            connection.terminate()

    async def _stand_by(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Until the lock is ours; meanwhile tell the leader of events stored here.

        Telling it after the commit and from here, not by NOTIFY in each transaction: that would make PostgreSQL
        commit one after the other. If we die in between, the leader looks by itself a moment later.
        """
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._woken.wait()
            if self._woken.is_set():
                self._woken.clear()
                await connection.execute(f"NOTIFY {_CHANNEL}")

    async def _lead(self, connection: "asyncpg.Connection[asyncpg.Record]", gone: asyncio.Event) -> None:
        duties = [asyncio.create_task(duty.lead(connection, self._woken)) for duty in self._duties]
        watch = asyncio.create_task(gone.wait())
        try:
            await asyncio.wait((watch, *duties), return_when=asyncio.FIRST_COMPLETED)
            for duty in duties:
                if duty.done():
                    duty.result()
            raise ConnectionError("the connection to the database was lost")
        finally:
            for task in (watch, *duties):
                task.cancel()
            await asyncio.gather(watch, *duties, return_exceptions=True)
