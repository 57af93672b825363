"""Messages from a durable consumer, no more of them in hand than there is room for."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from atoll.runtime.events.broker import Connection

logger = logging.getLogger("atoll.events")

_EXPIRES = 30.0  # seconds that one request for messages lasts
_HEARTBEAT = 5.0  # seconds between signs of life while there are none; two missed, and it is asked again
_MOST_BYTES = 16 * 2**20  # of one request's messages
_PAUSE = 1.0  # seconds before asking again after a refusal
_NANOSECONDS = 1_000_000_000

# NATS/1.0 408 Request Timeout: it expired. 409 Message Size Exceeds MaxBytes, or Batch Completed: it had its bytes, or
# its number. 404: nothing there.
_ENDED = ("404", "408")
_FULL = ("MaxBytes", "Completed")


class Pull:
    """Asks for messages whenever there is room for a quarter of the window, one request at a time.

    window: messages in hand at most. arrived: takes each message, at once.
    """

    def __init__(
        self, connection: Connection, stream: str, durable: str, window: int, arrived: Callable[[Msg], None]
    ) -> None:
        self._connection = connection
        self._durable = durable
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = connection.inbox()
        self._window = window
        self._arrived = arrived
        self._in_hand = 0
        self._wanted = 0
        self._number = 0
        self._signs = 0
        self._refusal = ""
        self._stopped = False
        self._changed = asyncio.Event()
        self._subscription: Subscription | None = None

    def finished(self, count: int = 1) -> None:
        """So many messages are no longer in hand."""
        self._in_hand -= count
        if self._wanted == 0:
            self._changed.set()

    async def run(self) -> None:
        """Keep asking, until it is cancelled. Raises Lost."""
        self._subscription = await self._connection.subscribe(f"{self._inbox}.*", self._on_message)
        while not self._connection.lost.is_set():
            self._changed.clear()
            if self._refusal:
                logger.warning("consumer %s gets no messages: %s", self._durable, self._refusal)
                self._refusal = ""
                await asyncio.sleep(_PAUSE)
            room = self._window - self._in_hand
            if self._wanted == 0 and room * 4 >= self._window and not self._stopped:
                await self._ask(room)
            signs = self._signs
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * _HEARTBEAT):
                    await self._changed.wait()
            if self._signs == signs:
                # No message and no heartbeat: the request is lost, as when the consumer moved to another node.
                self._wanted = 0

    async def stop(self) -> None:
        """Ask for no more; what the broker has sent already still arrives before this returns."""
        self._stopped = True
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.drain()  # type: ignore[no-untyped-call]

    async def _ask(self, count: int) -> None:
        self._number += 1
        self._wanted = count
        request = {
            "batch": count,
            "expires": int(_EXPIRES * _NANOSECONDS),
            "idle_heartbeat": int(_HEARTBEAT * _NANOSECONDS),
            "max_bytes": _MOST_BYTES,
        }
        await self._connection.send(self._subject, msgspec.json.encode(request), f"{self._inbox}.{self._number}")

    async def _on_message(self, message: Msg) -> None:
        self._signs += 1
        headers = message.headers or {}
        status = headers.get("Status")
        if status is None:
            self._wanted = max(0, self._wanted - 1)
            self._in_hand += 1
            if self._wanted == 0:
                self._changed.set()
            self._arrived(message)
        elif status != "100" and message.subject.endswith(f".{self._number}"):
            description = headers.get("Description", "")
            if status not in _ENDED and not description.endswith(_FULL):
                self._refusal = f"{status} {description}".strip()
            self._wanted = 0
            self._changed.set()
