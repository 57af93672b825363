"""The connection to NATS, made again whenever it is lost."""

import asyncio
import contextlib
import itertools
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from atoll.errors import BROKER_UNREACHABLE, EventError
from atoll.wire import subjects

logger = logging.getLogger("atoll.events")

ANSWER_WITHIN = 5.0
"""Seconds for the broker to answer; longer, and it is asked again."""

_CONNECT_WITHIN = 2  # seconds
_CLOSE_WITHIN = 1.0  # seconds, for each of what was sent and the end itself
_PING_EVERY = 5  # seconds; two without an answer, and the connection counts as lost
_RETRY_FIRST, _RETRY_MOST = 0.1, 2.0  # seconds between attempts to connect
_BUFFER = 8 * 2**20  # bytes written and not yet sent; more waits
_DENIED = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)
_NO_RESPONDERS = "503"


class Lost(Exception):
    """The connection ended before the answer came: what was sent may or may not have arrived."""


class Denied(Exception):
    """The broker's user may not publish there."""


class NoStream(Exception):
    """No stream takes messages for this subject."""


class Refused(Exception):
    """The broker answered with an error; `code` is JetStream's, 0 if it gave none."""

    def __init__(self, description: str, code: int = 0) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True, slots=True)
class Stored:
    """What the stream says of a message. duplicate: it had it already, under the same id."""

    sequence: int
    duplicate: bool


class _Error(msgspec.Struct):
    description: str = ""
    err_code: int = 0


class _Answer(msgspec.Struct):
    """Of JetStream to a publish or to a request of its API."""

    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode

_GONE = (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError, OSError)


class _Client(Client):
    """nats-py, but writing and reading headers takes a quarter of the time, which was a third of an event's.

    And nobody waits for ever for a peer that is gone. Should it name these methods otherwise one day, its own are
    called.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unsent: set[asyncio.Future[None]] = set()  # one of each publish that waits for room

    @property
    def is_alive(self) -> bool:
        """Whether it is connected and its tasks run: what it does not expect ends them without a word."""
        tasks = (self._reading_task, self._flusher_task)
        return self.is_connected and not any(task is None or task.done() for task in tasks)

    def give_up(self) -> None:
        """End all waiting for the peer with ConnectionClosedError."""
        for future in (*self._unsent, *self._pongs):
            if not future.done():
                future.set_exception(nats.errors.ConnectionClosedError())
                future.exception()  # where nobody waits it is no news

    async def _flush_pending(self, force_flush: bool = False) -> None:
        if not force_flush or self._flush_queue is None:
            await super()._flush_pending()
            return
        # Its own waits for what a flusher that ended has left, which is for ever, and swallows a cancellation.
        if not self.is_alive:
            raise nats.errors.ConnectionClosedError
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unsent.add(sent)
        sent.add_done_callback(self._unsent.discard)
        self._flush_queue.put_nowait(sent)
        await sent

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            # An answer that nobody waits for any more would end the reading.
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _send_publish(
        self, subject: str, reply: str, payload: bytes, payload_size: int, headers: dict[str, str] | None
    ) -> None:
        block = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) if headers else ""
        if not headers or not block.count("\n") == block.count("\r") == len(headers):
            # Nothing to gain, or a value with a line break in it, which it knows how to tame.
            await super()._send_publish(subject, reply, payload, payload_size, headers)
            return
        head = f"NATS/1.0\r\n{block}\r\n".encode()
        if len(head) + payload_size > self._max_payload:
            # The client looks at the payload alone; the broker counts both, and hangs up.
            raise nats.errors.MaxPayloadError
        command = f"HPUB {subject} {reply} {len(head)} {len(head) + payload_size}\r\n".encode()
        await self._send_command(b"%b%b%b\r\n" % (command, head, payload))
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def _process_op_err(self, e: Exception) -> None:
        # It would try to send what is buffered: uvloop refuses with a RuntimeError, which nobody awaits, and the
        # callbacks are never called.
        self._pending.clear()
        self._pending_data_size = 0
        await super()._process_op_err(e)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        lines = raw.decode(errors="replace").split("\r\n")
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


class Connection:
    """One connection, from its beginning to its loss. It never reconnects by itself.

    A client that reconnects sends what it had buffered over the gap, but not what was lost in the socket before that:
    later events would overtake earlier ones. So a loss ends everything that was under way with `Lost`, and whoever
    keeps an order begins again where it was.
    """

    def __init__(self, inbox_prefix: str) -> None:
        self.lost = asyncio.Event()
        self._client = _Client()
        self._inbox_prefix = inbox_prefix
        self._numbers = itertools.count()
        self._waiting: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        self._answers = ""
        self._trouble: Exception | None = None

    async def open(self, url: str, user: str, password: str, name: str) -> None:
        """Connect and sign in. Raises OSError, nats.errors.Error or TimeoutError, and
        anything else if what is there is no NATS."""
        try:
            await self._client.connect(
                url.split(","),
                user=user,
                password=password,
                name=name,
                inbox_prefix=self._inbox_prefix,
                allow_reconnect=False,
                connect_timeout=_CONNECT_WITHIN,
                # Here the number of quick attempts within one connect; pausing between them is the Broker's business.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                ping_interval=_PING_EVERY,
                max_outstanding_pings=2,
                pending_size=_BUFFER,
                flusher_queue_size=0,  # no bound, so nobody waits for it: one of each who waits for room in the buffer
                error_cb=self._on_error,
                closed_cb=self._on_closed,
            )
        except nats.errors.NoServersError as error:
            # The client says only that it gave up; why, it told the callback.
            raise self._trouble or error from error
        if not self._client.is_connected:
            raise ConnectionError("it hung up instead of letting us in")
        self._answers = self.inbox()
        await self._client.subscribe(f"{self._answers}.*", cb=self._on_answer)

    async def close(self) -> None:
        """Send what is buffered, and end."""
        self._end()
        # A socket that is gone already has nothing left to close; nobody may be there to read what is buffered. And a
        # client that never was connected, or has been reset, raises anything.
        with contextlib.suppress(Exception):
            # Until the broker has read it: what it said meanwhile and we did not read would reset the connection.
            await self._client.flush(timeout=int(_CLOSE_WITHIN))
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_WITHIN):
                await self._client.close()

    @property
    def is_open(self) -> bool:
        return not self.lost.is_set() and self._client.is_alive

    def inbox(self) -> str:
        """A subject of our own that nobody else listens to."""
        return self._client.new_inbox()

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Have each message on the subject given to the callback, one after the other. Raises Lost."""
        self._check_open()
        try:
            return await self._client.subscribe(subject, cb=callback)
        except (nats.errors.Error, OSError) as error:
            raise self._lose(error) from error

    async def send(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        """Without an answer. Raises Lost."""
        self._check_open()
        try:
            await self._client.publish(subject, payload, reply)
        except (nats.errors.Error, OSError) as error:
            raise self._lose(error) from error

    async def publish(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> "asyncio.Future[Msg]":
        """Send to a stream; `stored` reads the answer. Messages are stored in the order of the calls. Raises Lost."""
        return await self._ask(subject, payload, dict(headers))

    async def flush(self) -> None:
        """Return when the broker has read all that was sent. Raises Lost."""
        self._check_open()
        try:
            await self._client.flush(timeout=int(ANSWER_WITHIN))
        except (nats.errors.Error, OSError) as error:
            raise self._lose(error) from error

    async def request(self, subject: str, payload: bytes = b"") -> bytes:
        """The answer of JetStream's API. Raises Lost, Denied, NoStream, Refused, TimeoutError."""
        async with asyncio.timeout(ANSWER_WITHIN):
            message = await (await self._ask(subject, payload, None))
        _check(message)
        return message.data

    async def _ask(self, subject: str, payload: bytes, headers: dict[str, str] | None) -> "asyncio.Future[Msg]":
        self._check_open()
        token = str(next(self._numbers))
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = (subject, future)
        future.add_done_callback(lambda _: self._waiting.pop(token, None))
        try:
            await self._client.publish(subject, payload, f"{self._answers}.{token}", headers)
        except BaseException as error:
            future.cancel()
            if isinstance(error, _GONE):
                raise self._lose(error) from error
            raise
        return future

    async def _on_answer(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(message)

    async def _on_error(self, error: Exception) -> None:
        if not self._answers:
            self._trouble = error  # still connecting: open() raises it
            return
        denied = _DENIED.search(str(error))
        if denied is not None:
            # NATS answers a publish that is not allowed with this alone, on the side.
            logger.error("NATS does not allow this user to publish to %s", denied[1])
            self._fail(lambda subject: subject.lower() == denied[1], Denied(denied[1]))
        elif isinstance(error, (OSError, nats.errors.UnexpectedEOF, nats.errors.StaleConnectionError)):
            self._end()
        else:
            logger.warning("NATS: %s", error)

    async def _on_closed(self) -> None:
        self._end()

    def _check_open(self) -> None:
        if not self.is_open:
            raise self._lose(ConnectionError("the connection is lost"))

    def _lose(self, error: BaseException) -> Lost:
        """Whoever meets `Lost` waits for the next connection, so this one has to end, whatever its client thinks."""
        self._end()
        return Lost(str(error))

    def _end(self) -> None:
        self.lost.set()
        self._fail(lambda _: True, Lost("the connection was lost"))
        self._client.give_up()

    def _fail(self, concerns: Callable[[str], bool], error: Exception) -> None:
        for subject, future in list(self._waiting.values()):
            if concerns(subject) and not future.done():
                future.set_exception(error)
                # Whoever waits gets it; where nobody does any more it is no news.
                future.exception()


def stored(message: Msg) -> Stored:
    """The stream's answer to a publish. Raises NoStream, Refused."""
    answer = _check(message)
    return Stored(answer.seq, answer.duplicate)


def _check(message: Msg) -> _Answer:
    if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
        raise NoStream("no stream takes this subject, or JetStream is not ready")
    answer = _decode(message.data)
    if answer.error is not None:
        raise Refused(answer.error.description, answer.error.err_code)
    return answer


class Broker:
    """A process's way to NATS: at most one connection, made again for as long as the process lives.

    url: "nats://host:port", several separated by commas. name: of the process, for NATS's own monitoring.
    """

    def __init__(self, url: str, user: str, password: str, name: str) -> None:
        self._url = url
        self._user = user
        self._password = password
        self._name = name
        self._connected: asyncio.Future[Connection] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._reason = "it was not tried yet"
        self._closing = False

    def start(self) -> None:
        """Begin to connect; it need not succeed, now or ever, for the rest of the process to work."""
        self._connected = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(), name="broker")

    async def close(self) -> None:
        """End the connection, after what was sent."""
        self._closing = True
        if self._keeper is not None:
            # The client swallows a cancellation now and then; it has the flag for that.
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    @property
    def is_connected(self) -> bool:
        return self._connected is not None and self._connected.done() and self._connected.result().is_open

    async def connection(self, within: float | None = None) -> Connection:
        """The connection, as soon as there is one that is open.

        within: seconds to wait, None for ever. Raises EventError (BROKER_UNREACHABLE) after that.
        """
        assert self._connected is not None, "start() comes first"
        if self._connected.done():
            if self.is_connected:
                return self._connected.result()
            # Its keeper has not seen it yet: who tries until it works would leave it no turn to.
            self._connected = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within):
                # shield: whoever stops waiting must not cancel it for the others.
                return await asyncio.shield(self._connected)
        except TimeoutError:
            raise EventError(BROKER_UNREACHABLE.at(reason=f"{self._reason} ({self._url})")) from None

    async def _keep(self) -> None:
        wait = _RETRY_FIRST
        while not self._closing:
            connection = Connection(subjects.inbox(self._user))
            try:
                await connection.open(self._url, self._user, self._password, self._name)
            except Exception as error:  # noqa: BLE001 (what is no NATS, or half of one, makes its client raise anything)
                self._failed(error)
                await connection.close()
                await asyncio.sleep(wait)
                wait = min(2 * wait, _RETRY_MOST)
                continue
            wait = _RETRY_FIRST
            await self._hold(connection)

    async def _hold(self, connection: Connection) -> None:
        """Offer the connection until it is lost."""
        assert self._connected is not None
        logger.info("connected to NATS at %s", self._url)
        self._reason = ""
        self._connected.set_result(connection)
        try:
            while connection.is_open and not self._closing:
                # Not every way in which the client ends tells of it.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await connection.lost.wait()
            self._failed(Lost("the connection was lost"))
        finally:
            if self._connected.done():
                self._connected = asyncio.get_running_loop().create_future()
            await connection.close()

    def _failed(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if reason != self._reason:
            logger.warning("NATS at %s can't be reached: %s; trying again until it can", self._url, reason)
        self._reason = reason
