"""Server-sent events as a caller reads them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.wire.sse import MOST_BYTES, Reader, ServerEvent, TooLarge

BODY = (
    b': hello\n\ndata: {"a":1}\n\nevent: problem\r\ndata: {"b":2}\r\n\r\n'
    b"data:first\rdata: second\r\rid: 7\nretry: 10\n\n\n\ndata\n\ndata: unfinished"
)
EVENTS = [
    ServerEvent("message", b'{"a":1}'),
    ServerEvent("problem", b'{"b":2}'),
    ServerEvent("message", b"first\nsecond"),
    ServerEvent("message", b""),
]


def test_events_are_read_as_the_standard_says() -> None:
    assert Reader().feed(BODY) == EVENTS


@given(st.lists(st.integers(0, len(BODY)), max_size=40))
def test_it_does_not_matter_where_the_body_is_cut(cuts: list[int]) -> None:
    reader, at = Reader(), [0, *sorted(cuts), len(BODY)]
    pieces = [BODY[start:end] for start, end in pairwise(at)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS


def test_an_event_has_a_largest_size() -> None:
    reader = Reader()
    reader.feed(b"data: " + b"x" * (MOST_BYTES - 6))
    with pytest.raises(TooLarge):
        reader.feed(b"x")
