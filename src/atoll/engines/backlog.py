"""How near a stream is to dropping events that a consumer has not been given."""

from datetime import datetime, timedelta

import msgspec

_NANOSECONDS = 1_000_000_000


class Config(msgspec.Struct, frozen=True):
    """What the stream keeps at most, in bytes and nanoseconds; below 1 for as much as there is."""

    max_bytes: int = -1
    max_age: int = 0


class State(msgspec.Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_ts: datetime | None = None
    last_ts: datetime | None = None


class Delivered(msgspec.Struct, frozen=True):
    """The newest message given. last_active: when; None where the broker was started since."""

    stream_seq: int = 0
    last_active: datetime | None = None


class Consumer(msgspec.Struct, frozen=True):
    """ts: when the broker said so, by its own clock."""

    name: str = ""
    num_pending: int = 0
    num_ack_pending: int = 0
    num_redelivered: int = 0
    delivered: Delivered = Delivered()
    ts: datetime | None = None


def backlog(config: Config, state: State, consumer: Consumer) -> float:
    """The share of what the stream keeps that the consumer has not been given, by bytes or by age, whichever is more.

    At 1 the stream drops what the consumer never had.
    """
    if not consumer.num_pending or not state.messages:
        return 0.0
    waiting = min(consumer.num_pending / state.messages, 1.0) * state.bytes
    by_bytes = waiting / config.max_bytes if config.max_bytes > 0 else 0.0
    oldest = _oldest(state, consumer)
    if oldest is None or consumer.ts is None or config.max_age <= 0:
        return by_bytes
    by_age = (consumer.ts - oldest) / timedelta(seconds=config.max_age / _NANOSECONDS)
    return max(by_bytes, by_age)


def _oldest(state: State, consumer: Consumer) -> datetime | None:
    """When about the oldest event that waits was published; None where nothing tells."""
    first, last, active = state.first_ts, state.last_ts, consumer.delivered.last_active
    if first is None or last is None or consumer.delivered.stream_seq < state.first_seq:
        return first
    if active is None:
        return None
    # What waits came after the last that was given: one now and then, or many at once. As if at even distances.
    return max(active + (last - active) / consumer.num_pending, first) if active < last else last
