"""Events that went from their stream before a consumer was given them: found, counted, told."""

import logging

import msgspec

from atoll.model.launch import ConsumerOf
from atoll.runtime.telemetry import Telemetry

logger = logging.getLogger("atoll.events")

TOLD_EVERY = 60.0
"""Seconds between two log lines, of a consumer that loses events all the time."""


class Position(msgspec.Struct, frozen=True):
    """How far a consumer is in its stream. Numbers are the stream's, each message has the next.

    delivered: the newest message that it was given. given: how many it was given, those that came again with them.
    first, last: the oldest and the newest that the stream has. pending: how many of its own it was not given yet.
    """

    delivered: int
    given: int
    first: int
    last: int
    pending: int

    @property
    def past(self) -> int:
        """The newest number that was given, or is gone: nothing up to it is still to come for the first time."""
        return max(self.delivered, self.first - 1)


def missed(before: Position | None, now: Position) -> int:
    """How many events went in between without having been given; before any look, how many went until now.

    Never too many in between, but for those that came between the two questions of a look; fewer where some were given
    again at the same time. At the first look, what other consumers alone would have been given counts as well.
    """
    start = before.past if before else now.delivered
    gone = now.first - 1 - start
    if gone <= 0 or before is None:
        return max(gone, 0)
    # What waited, or came since, waits still, was given, or is missed.
    expected = before.pending + max(now.last - before.last, 0)
    return min(max(expected - now.pending - max(now.given - before.given, 0), 0), gone)


class Losses:
    """What one consumer has missed, as far as this process looked. Each replica counts all of it."""

    def __init__(self, source: ConsumerOf, telemetry: Telemetry) -> None:
        self._source = source
        self._before: Position | None = None
        self._untold = 0
        self._told = float("-inf")
        self._missed = telemetry.metrics.counter(
            "messaging.consumer.missed",
            "Events that went from their stream before this consumer was given them.",
            {"messaging.destination.name": source.topic, "messaging.consumer.group.name": source.durable},
        )

    def look(self, now: Position, time: float) -> None:
        """Count what went since the last look, and tell. time: of a monotonic clock, in seconds."""
        count = missed(self._before, now)
        self._before = now
        self._missed.add(count)
        self._untold += count
        if self._untold and time - self._told >= TOLD_EVERY:
            logger.error(
                "%d events of %r are lost for %s: the topic keeps no more (kept_bytes, kept_seconds), and dropped them "
                "before the consumer was given them",
                self._untold,
                self._source.topic,
                self._source.durable,
            )
            self._untold, self._told = 0, time
