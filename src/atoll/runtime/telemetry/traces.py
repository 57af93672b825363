"""Spans, recorded so cheaply that every call has one."""

from typing import NamedTuple

MOST_WAITING = 32_768
"""Spans that wait for the exporter; at the limit new ones are dropped and counted."""


class Span(NamedTuple):
    """One piece of work. start, end: time.monotonic_ns(); attributes: key, value, key, value, ..."""

    kind: str
    name: str
    trace_id: int
    span_id: int
    parent_id: int
    start: int
    end: int
    error: str
    attributes: tuple[object, ...] | None


class Recorder:
    """Keeps finished spans until they are taken away.

    most: that wait; 0 where nobody will take them. dropped: how many found no room.
    """

    __slots__ = ("_most", "_waiting", "dropped")

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting: list[tuple[object, ...]] = []
        self.dropped = 0

    def record(
        self,
        kind: str,
        name: str,
        trace_id: int,
        span_id: int,
        parent_id: int,
        start: int,
        end: int,
        error: str,
        attributes: tuple[object, ...] | None = None,
    ) -> None:
        """Keep a finished span.

        kind: "server", "client", "internal", "producer" or "consumer". parent_id: 0 for none.
        start, end: time.monotonic_ns(). error: "" for none. attributes: flat, key, value, key, value; a tuple, for the
        encoder looks spans up by it.
        """
        waiting = self._waiting
        if len(waiting) >= self._most:
            self.dropped += 1
            return
        # A plain tuple: making a Span of it is the exporter's work, not the caller's.
        waiting.append((kind, name, trace_id, span_id, parent_id, start, end, error, attributes))

    def take_records(self) -> list[tuple[object, ...]]:
        """All that wait, with the facts in the order of Span; they are the caller's from now on."""
        taken, self._waiting = self._waiting, []
        return taken

    def take(self) -> list[Span]:
        """The same, by name."""
        return [Span._make(each) for each in self.take_records()]
