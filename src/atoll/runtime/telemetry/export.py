"""Takes spans from the recorder to a file."""

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from atoll.runtime.telemetry.traces import Recorder, Span

PERIOD = 0.2
"""Seconds between two writes: what a process that is killed may lose of its spans."""

MOST_BYTES = 64 * 1024 * 1024
"""Of one file; then it becomes FILE.1, in place of the one before."""

logger = logging.getLogger("atoll.telemetry")


def line(span: Span, service: str, replica: str, offset: int) -> bytes:
    """The span as a line of JSON. offset: nanoseconds from the monotonic clock to the epoch."""
    flat = span.attributes or ()
    return _encode(
        {
            "trace": f"{span.trace_id:032x}",
            "span": f"{span.span_id:016x}",
            "parent": f"{span.parent_id:016x}" if span.parent_id else "",
            "name": span.name,
            "kind": span.kind,
            "start": span.start + offset,
            "end": span.end + offset,
            "error": span.error,
            "service": service,
            "replica": replica,
            "attributes": dict(zip(flat[::2], flat[1::2], strict=True)),
        }
    )


_encode = msgspec.json.Encoder(enc_hook=str).encode


def offset_to_epoch() -> int:
    """Nanoseconds from the monotonic clock to the epoch.

    Of several looks the one that nothing came between: spans of two processes are put in one order by it.
    """
    looks: list[tuple[int, int]] = []
    for _ in range(5):
        before, epoch, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        looks.append((after - before, epoch - (before + after) // 2))
    return min(looks)[1]


class SpanFile:
    """Appends the spans of a process to its file, five times a second and at the end."""

    def __init__(self, path: Path, recorder: Recorder, service: str, replica: str) -> None:
        self._path, self._recorder = path, recorder
        self._service, self._replica = service, replica
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SpanFile":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._task = asyncio.create_task(self._run(), name="spans")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
        self.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            self.flush()

    def flush(self) -> None:
        """Write what waits. A full disk costs spans, never a request."""
        spans = self._recorder.take()
        if not spans:
            return
        try:
            self._append(spans)
        except OSError as error:
            logger.warning("%d spans could not be written: %s", len(spans), error)

    def _append(self, spans: Sequence[Span]) -> None:
        offset = offset_to_epoch()
        lines = b"\n".join(line(span, self._service, self._replica, offset) for span in spans) + b"\n"
        with self._path.open("ab") as file:
            file.write(lines)
            size = file.tell()
        if size >= MOST_BYTES:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
