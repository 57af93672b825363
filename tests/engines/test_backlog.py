"""How near a stream is to dropping what a consumer has not been given."""

from datetime import UTC, datetime, timedelta

import pytest

from atoll.engines.backlog import Config, Consumer, Delivered, State, backlog

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CONFIG = Config(max_bytes=1_000_000, max_age=10 * 86_400 * 10**9)


def state(days: float, *, messages: int = 1_000, first: int = 1) -> State:
    """A stream of messages of 500 bytes, the oldest so many days old and the newest just published."""
    last = first + messages - 1
    return State(messages, 500 * messages, first, last, NOW - days * DAY, NOW)


def consumer(pending: int, delivered: int, active: float | None = 0.0) -> Consumer:
    """active: days since it was given the last; None where nobody knows."""
    when = None if active is None else NOW - active * DAY
    return Consumer("c", pending, delivered=Delivered(delivered, when), ts=NOW)


@pytest.mark.parametrize(
    ("stream", "reads", "share"),
    [
        (state(0), consumer(0, 1_000), 0.0),  # it had everything
        (state(9), consumer(0, 1_000, 9), 0.0),  # long ago, and nothing came since
        (State(), consumer(0, 0), 0.0),
        (state(0), consumer(1_000, 0), 0.5),  # all of half a megabyte waits
        (state(0, messages=2_000), consumer(2_000, 0), 1.0),
        (state(0, messages=2_000), consumer(500, 1_500), 0.25),
        (state(5), consumer(1_000, 0), 0.5),  # it was given nothing of what is kept, which is five days old
        (state(9), consumer(1_000, 0), 0.9),
        (state(9), consumer(10, 990, 6), 0.54),  # it had all until six days ago; of ten since then the oldest waits
        (state(9), consumer(1, 999, 9), 0.0005),  # it had nothing to do for nine days, and one came now
        (state(9), consumer(10, 990, None), 0.005),  # the broker was started since, and knows less
        (state(9, first=500), consumer(1_000, 100, 20), 0.9),  # what went already is not there to wait
    ],
)
def test_the_share_is_of_bytes_or_of_age_whichever_is_more(stream: State, reads: Consumer, share: float) -> None:
    assert backlog(CONFIG, stream, reads) == pytest.approx(share)


def test_a_stream_without_bounds_drops_nothing() -> None:
    assert backlog(Config(), state(100), consumer(1_000, 0)) == 0.0
