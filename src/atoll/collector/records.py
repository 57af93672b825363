"""Reads the log records and metrics of OTLP requests."""

from collections.abc import Iterator

import msgspec

from atoll.collector.limits import AHEAD, Limits
from atoll.collector.spans import SpanReader, messages
from atoll.collector.store import LogIn, PointIn
from atoll.wire.otlp import Value, decode_attribute, decode_value
from atoll.wire.protobuf import FIXED64, LENGTH, VARINT, MalformedError, double, fields, signed, text

INFO = 9


def read_logs(data: bytes, reader: SpanReader, limits: Limits, now: int) -> list[LogIn]:
    """Of an ExportLogsServiceRequest. now: nanoseconds, for lines without a time. Raises MalformedError."""
    found: list[LogIn] = []
    for (service, replica), place, end in _each(data, reader):
        if len(found) >= limits.records:
            raise MalformedError(f"a request has more than {limits.records} log lines")
        found.append(_line(service, replica, data, place, end, limits, now))
    return found


def _each(data: bytes, reader: SpanReader) -> Iterator[tuple[tuple[str, str], int, int]]:
    """Whose it is, and where: records and metrics stand at the same places of their requests."""
    for start, end in messages(data, 0, len(data), 1):
        source = reader.source(data, start, end)
        for scope in messages(data, start, end, 2):
            for place, last in messages(data, *scope, 2):
                yield source, place, last


def _line(service: str, replica: str, data: bytes, place: int, end: int, limits: Limits, now: int) -> LogIn:
    time, severity, body = 0, INFO, ""
    trace: bytes | None = None
    span: bytes | None = None
    attributes: dict[str, Value] = {}
    for number, kind, first, last in fields(data, place, end):
        if number in (1, 11) and kind == FIXED64:
            time = first if number == 1 and first else time or first
        elif number == 2 and kind == VARINT:
            severity = first if 1 <= first <= 24 else INFO
        elif number == 5 and kind == LENGTH:
            body = as_text(decode_value(data, first, last))
        elif number == 6 and kind == LENGTH:
            key, value = decode_attribute(data, first, last)
            attributes[key] = value
            if len(attributes) > limits.attributes:
                raise MalformedError(f"a log line has more than {limits.attributes} attributes")
        elif number == 9 and kind == LENGTH:
            trace = data[first:last] if last - first == 16 else None
        elif number == 10 and kind == LENGTH:
            span = data[first:last] if last - first == 8 else None
        elif number in (1, 2, 5, 6, 9, 10, 11):
            raise MalformedError("a field has another wire type than its number")
    known = as_json(attributes) if attributes else None
    return LogIn(service, replica, when(time, now), severity, body, trace, span, known)


def when(said: int, now: int) -> int:
    """The time of a line, or now: of Go's zero time, which is the year 1, and of a clock in the future.

    A line that comes late keeps its time: a file is followed from where it was left, however long ago.
    """
    return said if 0 < said <= now + AHEAD * 1_000_000_000 else now


def as_text(value: Value) -> str:
    """A line as people read it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else "" if value is None else as_json(value)


def as_json(value: Value) -> str:
    return msgspec.json.encode(value, order="sorted").decode(errors="replace")


def read_metrics(data: bytes, reader: SpanReader, limits: Limits) -> list[PointIn]:
    """Of an ExportMetricsServiceRequest; a distribution becomes its count and its sum. Raises MalformedError."""
    found: list[PointIn] = []
    for source, place, end in _each(data, reader):
        found += _metric(source, data, place, end)
        if len(found) > limits.records:
            raise MalformedError(f"a request has more than {limits.records} points")
    return found


_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL, _SUMMARY = 5, 7, 9, 10, 11


def _metric(source: tuple[str, str], data: bytes, place: int, end: int) -> Iterator[PointIn]:
    name, unit = "", ""
    points: list[tuple[int, int, int]] = []
    is_counter = False
    for number, kind, first, last in fields(data, place, end):
        if number in (1, 3, _GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL, _SUMMARY) and kind != LENGTH:
            raise MalformedError("a field has another wire type than its number")
        if number == 1:
            name = text(data, first, last)
        elif number == 3:
            unit = text(data, first, last)
        elif number in (_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL, _SUMMARY):
            points += [(number, *point) for point in messages(data, first, last, 1)]
            is_counter = number == _SUM and _is_monotonic(data, first, last)
    for kind, first, last in points:
        if kind in (_GAUGE, _SUM):
            at, value, attributes = _number(data, first, last)
            yield PointIn(*source, name, "counter" if is_counter else "gauge", unit, attributes, at, value)
        else:
            yield from _distribution(source, name, unit, kind, data[first:last])


def _is_monotonic(data: bytes, start: int, end: int) -> bool:
    return any(number == 3 and value for number, _, value, _ in fields(data, start, end))


def _number(data: bytes, start: int, end: int) -> tuple[int, float, str]:
    """When (seconds since the epoch), how much, and the attributes in JSON."""
    at, value = 0, 0.0
    attributes: dict[str, Value] = {}
    for number, kind, first, last in fields(data, start, end):
        if (number in (3, 4, 6) and kind != FIXED64) or (number == 7 and kind != LENGTH):
            raise MalformedError("a field has another wire type than its number")
        if number == 3:
            at = first // 1_000_000_000
        elif number == 4:
            value = double(first)
        elif number == 6:
            value = float(signed(first))
        elif number == 7:
            key, said = decode_attribute(data, first, last)
            attributes[key] = said
    return at, value, as_json(attributes)


def _distribution(source: tuple[str, str], name: str, unit: str, kind: int, data: bytes) -> Iterator[PointIn]:
    where = {_HISTOGRAM: 9, _EXPONENTIAL: 1, _SUMMARY: 7}[kind]
    at, count, total = 0, 0, 0.0
    attributes: dict[str, Value] = {}
    for number, wire, first, last in fields(data, 0, len(data)):
        if (number in (3, 4, 5) and wire != FIXED64) or (number == where and wire != LENGTH):
            raise MalformedError("a field has another wire type than its number")
        if number == where:
            key, said = decode_attribute(data, first, last)
            attributes[key] = said
        elif number == 3:
            at = first // 1_000_000_000
        elif number == 4:
            count = first
        elif number == 5:
            total = double(first)
    known = as_json(attributes)
    yield PointIn(*source, f"{name}.count", "histogram", "", known, at, float(count))
    yield PointIn(*source, f"{name}.sum", "histogram", unit, known, at, total)
