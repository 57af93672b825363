"""Events that went from their stream before a consumer was given them: found, counted, told."""

import logging

import msgspec

from atoll.model.launch import ConsumerOf
from atoll.runtime.telemetry import Telemetry

logger = logging.getLogger("atoll.events")

TOLD_EVERY = 60.0
"""Seconds between two log lines, of a consumer that loses events all the time."""


class Position(msgspec.Struct, frozen=True):
    """How far a consumer is, and where its stream begins.

    delivered: the stream's number of the newest event that it was given. given: how many it was given, those that came
    again with them. first: the stream's number of the oldest event that is kept.
    """

    delivered: int
    given: int
    first: int

    @property
    def past(self) -> int:
        """The newest number that was given, or is gone: nothing up to it is still to come for the first time."""
        return max(self.delivered, self.first - 1)


def missed(before: Position | None, now: Position) -> int:
    """How many events went in between without having been given; before any look, how many went until now.

    Never more than there were. Less where some were given again at the same time as others went. Numbers that are not
    the consumer's own, which other consumers were given again, count as if they were.
    """
    start = before.past if before else now.delivered
    gone = now.first - 1 - start
    if gone <= 0:
        return 0
    # Of those some may have been given before they went, but not those that are newer than the newest given.
    passed = now.past - start
    given = max(now.given - before.given, 0) if before else 0
    return max(now.past - max(now.delivered, start), min(passed - given, gone))


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
