"""OTLP's JSON form becomes Protocol Buffers, so that there is one reader of both.

Source: OTLP 1.5, JSON Protobuf encoding: names in lowerCamelCase, ids in hexadecimal, 64-bit numbers as texts.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from atoll.collector.refusals import invalid
from atoll.wire.otlp import DEEPEST
from atoll.wire.protobuf import (
    MalformedError,
    bytes_field,
    double_field,
    fixed_field,
    number_field,
    text_field,
)

Field: TypeAlias = tuple[int, "str | Callable[[int, object], bytes]"]
"""Its number, and what makes a field of the value: a function, or a message of FORMS."""

# Lists and maps of a value are two messages each.
_DEEPEST = 2 * DEEPEST + 12
_MARKS, _MOST = (b",", b"{", b"["), 1_000_000


def _text(number: int, value: object) -> bytes:
    if not isinstance(value, str):
        raise MalformedError(f"{value!r:.40} is no text")
    return text_field(number, value)


def _hexadecimal(number: int, value: object) -> bytes:
    if not isinstance(value, str):
        raise MalformedError(f"{value!r:.40} is no id")
    return bytes_field(number, bytes.fromhex(value)) if value else b""


def _base64(number: int, value: object) -> bytes:
    if not isinstance(value, str):
        raise MalformedError(f"{value!r:.40} is no base64")
    return bytes_field(number, b64decode(value, validate=True))


def _integer(value: object) -> int:
    if (isinstance(value, str) and len(value) <= 20) or (isinstance(value, int) and not isinstance(value, bool)):
        whole = int(value)
        if -(1 << 63) <= whole < 1 << 64:
            return whole
    raise MalformedError(f"{value!r:.40} is no whole number of 64 bits")


def _varint(number: int, value: object) -> bytes:
    return number_field(number, _integer(value))


def _fixed64(number: int, value: object) -> bytes:
    return fixed_field(number, _integer(value) & 0xFFFFFFFFFFFFFFFF)


def _double(number: int, value: object) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 400:
        raise MalformedError(f"{value!r:.40} is no number")
    return double_field(number, float(value))


def _boolean(number: int, value: object) -> bytes:
    if not isinstance(value, bool):
        raise MalformedError(f"{value!r:.40} is neither true nor false")
    return number_field(number, value)


_POINT: Mapping[str, Field] = {"attributes": (7, "attribute"), "timeUnixNano": (3, _fixed64)}
_DISTRIBUTION: Mapping[str, Field] = {"timeUnixNano": (3, _fixed64), "count": (4, _fixed64), "sum": (5, _double)}

FORMS: Mapping[str, Mapping[str, Field]] = {
    "traces": {"resourceSpans": (1, "resource spans")},
    "logs": {"resourceLogs": (1, "resource logs")},
    "metrics": {"resourceMetrics": (1, "resource metrics")},
    "resource": {"attributes": (1, "attribute")},
    "attribute": {"key": (1, _text), "value": (2, "value")},
    "value": {
        "stringValue": (1, _text),
        "boolValue": (2, _boolean),
        "intValue": (3, _varint),
        "doubleValue": (4, _double),
        "arrayValue": (5, "list"),
        "kvlistValue": (6, "map"),
        "bytesValue": (7, _base64),
    },
    "list": {"values": (1, "value")},
    "map": {"values": (1, "attribute")},
    "resource spans": {"resource": (1, "resource"), "scopeSpans": (2, "scope spans")},
    "scope spans": {"spans": (2, "span")},
    "span": {
        "traceId": (1, _hexadecimal),
        "spanId": (2, _hexadecimal),
        "parentSpanId": (4, _hexadecimal),
        "name": (5, _text),
        "kind": (6, _varint),
        "startTimeUnixNano": (7, _fixed64),
        "endTimeUnixNano": (8, _fixed64),
        "attributes": (9, "attribute"),
        "events": (11, "event"),
        "links": (13, "link"),
        "status": (15, "status"),
    },
    "event": {"timeUnixNano": (1, _fixed64), "name": (2, _text), "attributes": (3, "attribute")},
    "link": {"traceId": (1, _hexadecimal), "spanId": (2, _hexadecimal), "attributes": (4, "attribute")},
    "status": {"message": (2, _text), "code": (3, _varint)},
    "resource logs": {"resource": (1, "resource"), "scopeLogs": (2, "scope logs")},
    "scope logs": {"logRecords": (2, "record")},
    "record": {
        "timeUnixNano": (1, _fixed64),
        "severityNumber": (2, _varint),
        "severityText": (3, _text),
        "body": (5, "value"),
        "attributes": (6, "attribute"),
        "traceId": (9, _hexadecimal),
        "spanId": (10, _hexadecimal),
        "observedTimeUnixNano": (11, _fixed64),
    },
    "resource metrics": {"resource": (1, "resource"), "scopeMetrics": (2, "scope metrics")},
    "scope metrics": {"metrics": (2, "metric")},
    "metric": {
        "name": (1, _text),
        "unit": (3, _text),
        "gauge": (5, "gauge"),
        "sum": (7, "sum"),
        "histogram": (9, "histogram"),
        "exponentialHistogram": (10, "exponential histogram"),
        "summary": (11, "summary"),
    },
    "gauge": {"dataPoints": (1, "number")},
    "sum": {"dataPoints": (1, "number"), "aggregationTemporality": (2, _varint), "isMonotonic": (3, _boolean)},
    "histogram": {"dataPoints": (1, "histogram point"), "aggregationTemporality": (2, _varint)},
    "exponential histogram": {"dataPoints": (1, "exponential point"), "aggregationTemporality": (2, _varint)},
    "summary": {"dataPoints": (1, "summary point")},
    "number": {**_POINT, "asDouble": (4, _double), "asInt": (6, _fixed64)},
    "histogram point": {**_DISTRIBUTION, "attributes": (9, "attribute")},
    "exponential point": {**_DISTRIBUTION, "attributes": (1, "attribute")},
    "summary point": {**_DISTRIBUTION, "attributes": (7, "attribute")},
}


def to_protobuf(data: bytes, form: str) -> bytes:
    """The message that this JSON is. form: "traces", "logs" or "metrics". Fields that nobody reads are left out.

    Raises Refused."""
    # Before anything is made of them: an object takes sixty times the two bytes that it is written in.
    if sum(map(data.count, _MARKS)) > _MOST:
        raise invalid(f"it has more than {_MOST} values")
    try:
        return _message(msgspec.json.decode(data), FORMS[form], 0)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise invalid(f"it is no OTLP in JSON: {str(error) or 'nested too deep'}") from error


def _message(value: object, form: Mapping[str, Field], depth: int) -> bytes:
    if not isinstance(value, dict):
        raise MalformedError(f"{value!r:.40} is no object")
    if depth > _DEEPEST:
        raise MalformedError("it is nested too deep")
    found: list[tuple[int, bytes]] = []
    for name, each in value.items():
        field = form.get(name)
        if field is None or each is None:
            continue
        number, kind = field
        if not isinstance(kind, str):
            found.append((number, kind(number, each)))
            continue
        items = each if isinstance(each, list) else (each,)
        found += [(number, bytes_field(number, _message(item, FORMS[kind], depth + 1))) for item in items]
    # In the order of their numbers: the reader of spans is quicker so.
    return b"".join(encoded for _, encoded in sorted(found, key=lambda each: each[0]))
