"""Stores lines that are followed, with how far they were."""

import logging
from collections import Counter
from collections.abc import Sequence

from atoll.collector.arrivals import Arrival, LogIn, Position
from atoll.collector.refusals import Refused
from atoll.collector.writer import Writer

logger = logging.getLogger("atoll.collector")


async def store(writer: Writer, lines: Sequence[LogIn], position: Position, size: int) -> None:
    """Returns when nobody has to bring them again: lines that can never be stored are dropped, and counted.

    size: bytes that they hold. Raises Refused as long as too much waits, or nothing can be written.
    """
    with writer.room() as take:
        take(size)
        try:
            await writer.put(lambda _: Arrival(size, logs=lines, positions=[position]), size)
        except Refused as refused:
            if refused.is_passing:
                raise
            logger.warning("%d lines of %s can't be stored: %s", len(lines), position.name, refused.reason)
            hits = Counter({"lines": len(lines)})
            await writer.put(lambda _: Arrival(positions=[position], hits=hits), 0)
