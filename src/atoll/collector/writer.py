"""Stores what came, in a thread of its own; whoever brought it waits until it is stored, and no one else."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from atoll.collector.arrivals import Arrival, Position
from atoll.collector.limits import Limits
from atoll.collector.refusals import Refused, invalid
from atoll.collector.spans import SpanReader
from atoll.collector.store import Store
from atoll.wire.protobuf import MalformedError

EXPIRE_EVERY = 1.0
"""Seconds between two looks at what is too old or too much."""

_TOGETHER = 4 * 2**20
"""Bytes that share a commit."""

logger = logging.getLogger("atoll.collector")

Read = Callable[[SpanReader], Arrival]
"""Makes something to store of what came. Raises Refused, MalformedError."""

Stored = Callable[[Sequence[Arrival]], None]
"""Is told what was stored."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    read: Read
    size: int
    done: "asyncio.Future[None]"
    loop: asyncio.AbstractEventLoop


class Writer:
    """The store's thread, while the block lasts.

    Several requests share a commit: the more wait, the more do. At most `limits.waiting` bytes are held meanwhile.
    stored: told what is, in the thread; it must not wait.
    """

    def __init__(self, folder: Path, limits: Limits, stored: Sequence[Stored] = ()) -> None:
        self._folder, self._limits, self._stored = folder, limits, stored
        self._jobs: deque[_Job] = deque()
        self._held = 0
        self._stopping = False
        self._wake = threading.Condition()
        self._reader = SpanReader(limits)
        self._hits: deque[tuple[str, int]] = deque(maxlen=10_000)
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._store: Store | None = None

    async def __aenter__(self) -> "Writer":
        self._store = await asyncio.to_thread(Store, self._folder, self._limits)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    async def put(self, read: Read, size: int) -> None:
        """Returns when it is stored, whatever happens to us then. size: bytes that it holds. Raises Refused."""
        loop = asyncio.get_running_loop()
        job = _Job(read, size, loop.create_future(), loop)
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()
        await job.done

    @contextmanager
    def room(self) -> Generator[Callable[[int], None], None, None]:
        """For what is received and not stored yet, until the end of the block: the value takes so many more bytes.

        It raises Refused when everybody together holds more than may be.
        """
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if self._held + size > self._limits.waiting:
                raise Refused(429, "more waits to be stored than may", "too busy")
            self._held += size
            held += size

        try:
            yield take
        finally:
            self._held -= held

    def hit(self, limit: str, count: int = 1) -> None:
        """A limit was reached. Any thread may say so."""
        if limit:
            self._hits.append((limit, count))

    async def positions(self) -> dict[str, Position]:
        """How far everything was followed. Only before anything is put."""
        assert self._store is not None
        return await asyncio.to_thread(self._store.positions)

    # --- in the thread

    def _run(self) -> None:
        store = self._store
        assert store is not None
        look = 0.0
        try:
            while True:
                jobs, is_over = self._take()
                if jobs or self._hits:
                    self._write(store, jobs)
                elif is_over:
                    return
                if time.monotonic() >= look:
                    self._expire(store)
                    look = time.monotonic() + EXPIRE_EVERY
        finally:
            store.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """What is written together, once there is any; nothing after a while, or at the end."""
        with self._wake:
            if not self._jobs and not self._stopping:
                self._wake.wait(EXPIRE_EVERY)
            taken: list[_Job] = []
            size = 0
            while self._jobs and size < _TOGETHER:
                taken.append(self._jobs.popleft())
                size += taken[-1].size
            return taken, self._stopping and not taken

    def _write(self, store: Store, jobs: Sequence[_Job]) -> None:
        """Several in one commit, as long as what they hold, once unpacked, is not too much."""
        read: list[tuple[_Job, Arrival]] = []
        for job in jobs:
            arrival = self._arrival(job)
            if arrival is not None:
                read.append((job, arrival))
            if sum(each.size for _, each in read) >= _TOGETHER:
                self._commit(store, read)
                read.clear()
        self._commit(store, read)

    def _arrival(self, job: _Job) -> Arrival | None:
        try:
            return job.read(self._reader)
        except Refused as refused:
            # Its traceback would keep what was unpacked, for as long as the sender is told of it.
            _tell(job, refused.with_traceback(None))
        except MalformedError as error:
            _tell(job, invalid(str(error)))
        except Exception as error:  # what somebody sends must not end the thread that stores everybody's
            logger.exception("a request could not be read")
            _tell(job, invalid(f"it could not be read: {type(error).__name__}"))
        return None

    def _commit(self, store: Store, read: Sequence[tuple[_Job, Arrival]]) -> None:
        while self._hits:
            store.hit(*self._hits.popleft())
        arrivals = [arrival for _, arrival in read]
        refused = self._refusal(store, arrivals)
        if refused and not refused.is_passing and len(read) > 1:
            # Of one of them: the others are stored.
            for each in read:
                self._commit(store, [each])
            return
        for job, _ in read:
            _tell(job, refused)

    def _refusal(self, store: Store, arrivals: Sequence[Arrival]) -> Refused | None:
        """None once all are stored; else none is."""
        try:
            store.write(arrivals, time.time())
        except sqlite3.Error as error:
            store.hit("disk full", len(arrivals))
            logger.warning("%d requests could not be stored: %s", len(arrivals), error)
            return Refused(503, f"it could not be stored: {error}")
        except Exception as error:  # nor must what it says
            logger.exception("%d requests could not be stored", len(arrivals))
            return invalid(f"it could not be stored: {type(error).__name__}")
        for tell in self._stored:
            try:
                tell(arrivals)
            except Exception:  # nor what is made of it elsewhere
                logger.exception("%d requests are stored, and were told to nobody else", len(arrivals))
        return None

    def _expire(self, store: Store) -> None:
        """Some at a time, for as long as nobody waits."""
        with suppress(sqlite3.Error):
            while store.expire(time.time()) and not self._jobs:
                pass


def _tell(job: _Job, refused: Refused | None) -> None:
    """The outcome, to the loop of whoever waits for it."""

    def settle() -> None:
        if job.done.done():
            return  # it was given up meanwhile
        if refused is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(refused)

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        job.loop.call_soon_threadsafe(settle)
