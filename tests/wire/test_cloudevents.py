"""An event's headers in a NATS message."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.wire.cloudevents import DEDUPE, Attributes, read, write

AT = datetime(2026, 11, 23, 21, 30, 5, 123456, UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_headers_are_those_of_cloudevents_in_binary_mode() -> None:
    event = Attributes("id-1", "/shop/checkout", "shop.order-placed", AT, "order-7", TRACE)
    assert write(event) == {
        DEDUPE: "id-1",
        "ce-id": "id-1",
        "ce-source": "/shop/checkout",
        "ce-type": "shop.order-placed",
        "ce-specversion": "1.0",
        "ce-time": "2026-11-23T21:30:05.123456+00:00",
        "ce-datacontenttype": "application/json",
        "ce-partitionkey": "order-7",
        "traceparent": TRACE,
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_key_comes_back_as_it_was_and_is_plain_ascii_on_the_way(key: str) -> None:
    headers = write(Attributes("id-1", "/a", "a.b", AT, key))
    travelling = headers.get("ce-partitionkey", "")
    assert travelling.isascii()
    assert travelling.isprintable()
    assert " " not in travelling
    assert read(headers, fallback_id="", stored=AT).key == key


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_caller_comes_back_and_is_plain_ascii_on_the_way(subject: str) -> None:
    headers = write(Attributes("id-1", "/a", "a.b", AT, subject=subject, scopes="a b"))
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    found = read(headers, fallback_id="", stored=AT)
    assert (found.subject, found.scopes) == (subject, "a b")


def test_what_was_written_is_read() -> None:
    event = Attributes("id-1", "/shop/checkout", "shop.order-placed", AT, "", TRACE, "a=1", "b=2")
    assert read(write(event), fallback_id="other", stored=datetime.now(UTC)) == event


def test_a_message_of_somebody_else_needs_no_header() -> None:
    assert read({}, fallback_id="orders-7", stored=AT) == Attributes("orders-7", "", "", AT)


def test_a_message_without_an_event_id_goes_by_its_dedupe_id() -> None:
    assert read({DEDUPE: "x"}, fallback_id="orders-7", stored=AT).id == "x"


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_no_other_zone_can_tell_is_when_the_stream_took_it(time: str) -> None:
    assert read({"ce-time": time}, fallback_id="1", stored=AT).time == AT


def test_a_time_that_is_none_is_when_the_stream_took_it() -> None:
    assert read({"ce-time": "yesterday"}, fallback_id="1", stored=AT).time == AT
    assert read({"ce-time": "2026-11-23T21:30:05"}, fallback_id="1", stored=AT).time == AT.replace(microsecond=0)
