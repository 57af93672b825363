"""Takes what was recorded to where OTLP is taken: in batches, within bounds, and never in the way of a request."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import inf

from atoll.model.launch import Launch
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.encoding import SpanEncoder, request, resource
from atoll.runtime.telemetry.measures import encoded
from atoll.runtime.telemetry.post import Post
from atoll.runtime.telemetry.shipping import Lines

PERIOD = 0.2
"""Seconds between two looks at what waits: what a process that is killed may lose."""

BATCH = 512
"""Spans of one request; encoding them takes the loop less than a millisecond."""

PATIENCE = 60.0
"""Seconds that one batch is tried again while nobody takes it; then it is dropped, and newer ones get their turn."""

MEASURE_EVERY = 5.0
"""Seconds between two looks at the metrics."""

LAST_WORDS = 1.0
"""Seconds for what waits when the process ends."""

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0
_UNSAID = 3.0
"""Seconds that a collector may be away before that is told: the one that starts beside us is there by then."""
_TRY_AGAIN = frozenset({429, 502, 503, 504})

Batches = Iterator[tuple[bytes, int]]
"""The items of each request, and their number."""

logger = logging.getLogger("atoll.telemetry")


def offset_to_epoch() -> int:
    """Nanoseconds from the monotonic clock to the epoch.

    Of several looks the one that nothing came between: spans of two processes are put in one order by it.
    """
    looks: list[tuple[int, int]] = []
    for _ in range(5):
        before, epoch, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        looks.append((after - before, epoch - (before + after) // 2))
    return min(looks)[1]


class Exporter:
    """Sends while the block lasts, and what is left at its end.

    headers: of each request. lines: encoded log records, where they are to be sent.
    """

    def __init__(
        self, launch: Launch, telemetry: Telemetry, headers: Mapping[str, str], lines: Lines | None = None
    ) -> None:
        self._telemetry = telemetry
        self._post = Post(launch.telemetry.endpoint, headers)
        self._who = resource(launch.system, telemetry.service, telemetry.replica)
        self._encoder = SpanEncoder()
        self._taken: list[tuple[object, ...]] = []
        self._lines = lines
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._began = time.time_ns()
        self._measured = 0.0
        self._away_since, self._is_told = inf, False
        self._dropped_before: Counter[str] = Counter()

    async def __aenter__(self) -> "Exporter":
        self._task = asyncio.create_task(self._run(), name="telemetry")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._stopping.set()
        # Not cancelled at once: what is under way would be sent twice.
        await asyncio.wait([self._task], timeout=LAST_WORDS)
        self._task.cancel()
        self._post.close()

    async def _run(self) -> None:
        is_last = False
        while not is_last:
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._stopping.wait()
            is_last = self._stopping.is_set()
            try:
                await self._send_all()
            except Exception:
                # One span that can't be encoded costs its batch, not all that come after it.
                logger.exception("some telemetry of %s is lost", self._telemetry.replica)

    async def _send_all(self) -> None:
        await self._send("traces", self._spans())
        if self._lines is not None:
            await self._send("logs", self._log_lines(self._lines))
        if time.monotonic() - self._measured >= MEASURE_EVERY or self._stopping.is_set():
            self._measured = time.monotonic()
            await self._send_metrics()
        self._count_dropped("traces", self._telemetry.recorder.dropped)
        if self._lines is not None:
            self._count_dropped("logs", self._lines.dropped)

    def _count_dropped(self, signal: str, dropped: int) -> None:
        """Of those that found no room. dropped: since the process began."""
        new = dropped - self._dropped_before[signal]
        if new:
            self._drop(signal, "queue_full", new)
            self._dropped_before[signal] = dropped

    def _spans(self) -> Batches:
        """Those that wait now: under load there are always more, and the other signals would never have their turn."""
        self._taken[:0] = reversed(self._telemetry.recorder.take_records())
        while self._taken:
            batch = self._taken[: -BATCH - 1 : -1]
            del self._taken[-BATCH:]
            yield self._encoder.encode(batch, offset_to_epoch()), len(batch)

    def _log_lines(self, lines: Lines) -> Batches:
        """Those that wait now."""
        for _ in range(0, len(lines), BATCH):
            batch = lines.take(BATCH)
            yield b"".join(batch), len(batch)

    async def _send(self, signal: str, batches: Batches) -> None:
        for items, count in batches:
            reason = await self._deliver(f"/v1/{signal}", request(self._who, items))
            if reason:
                self._drop(signal, reason, count)

    async def _send_metrics(self) -> None:
        """What is not taken is out of date: it is neither kept nor sent again."""
        items: list[bytes] = []
        for family in encoded(self._telemetry.metrics, self._began, time.time_ns()):
            items.append(family)
            await asyncio.sleep(0)  # a request in between must not wait for all of them
        try:
            await self._post.send("/v1/metrics", request(self._who, b"".join(items)))
        except OSError as error:
            self._tell(str(error))

    async def _deliver(self, path: str, body: bytes) -> str:
        """Until it was taken, or given up: why, or ""."""
        wait, until = _FIRST_WAIT, time.monotonic() + PATIENCE
        while True:
            try:
                answer = await self._post.send(path, body)
            except OSError as error:
                self._tell(str(error))
                asked = 0.0
            else:
                if answer.status not in _TRY_AGAIN:
                    self._tell("")
                    return "" if answer.status < 300 else f"status {answer.status}"
                self._tell(f"status {answer.status}")
                asked = answer.retry_after
            if time.monotonic() > until:
                return "unreachable"
            await asyncio.sleep(max(min(asked, _LONGEST_WAIT), wait * random.uniform(0.5, 1.0)))  # noqa: S311 (jitter)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _tell(self, wrong: str) -> None:
        """Once when it stays away, and once when it is back."""
        now = time.monotonic()
        if not wrong:
            if self._is_told:
                logger.info("the telemetry of %s is taken again", self._telemetry.replica)
            self._away_since, self._is_told = inf, False
            return
        self._away_since = min(self._away_since, now)
        if not self._is_told and now - self._away_since >= _UNSAID:
            self._is_told = True
            logger.warning("nobody takes the telemetry of %s: %s", self._telemetry.replica, wrong)

    def _drop(self, signal: str, reason: str, count: int) -> None:
        labels = {"otel.signal": signal, "error.type": reason}
        text = "Spans and log lines that nobody took, or found no room."
        self._telemetry.metrics.counter("atoll.telemetry.dropped", text, labels).add(count)
