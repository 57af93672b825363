"""Attributes as OTLP has them: keys with values of any kind. Source: opentelemetry-proto 1.5, common.proto."""

from base64 import b64encode
from typing import TypeAlias

from atoll.wire.protobuf import (
    FIXED64,
    LENGTH,
    VARINT,
    MalformedError,
    bytes_field,
    double,
    double_field,
    fields,
    number_field,
    signed,
    text,
    text_field,
)

DEEPEST = 16
"""Lists and maps within each other in one value; what is deeper is malformed."""

KINDS = ("", "internal", "server", "client", "producer", "consumer")
"""Of spans, by the number that OTLP has for each."""

MOST = 10_000
"""Values of one list or map; what has more is malformed."""

TEXT, BOOLEAN, INTEGER, DOUBLE, LIST, MAP, BYTES = range(1, 8)

Value: TypeAlias = object
"""What JSON can say; bytes are a text in base64."""


def encode_value(value: object) -> bytes:
    """An AnyValue; what is of no known kind becomes its text."""
    match value:
        case str():
            return text_field(TEXT, value)
        case bool():
            return number_field(BOOLEAN, value)
        case int() if -(1 << 63) <= value < 1 << 63:
            return number_field(INTEGER, value)
        case float():
            return double_field(DOUBLE, value)
        case bytes():
            return bytes_field(BYTES, value)
        case list() | tuple():
            return bytes_field(LIST, b"".join(bytes_field(1, encode_value(each)) for each in value))
        case dict():
            return bytes_field(MAP, b"".join(attribute(1, str(key), each) for key, each in value.items()))
        case None:
            return b""
        case _:
            return text_field(TEXT, str(value))


def attribute(number: int, key: str, value: object) -> bytes:
    """A KeyValue as the field of this number."""
    return bytes_field(number, text_field(1, key) + bytes_field(2, encode_value(value)))


def decode_attribute(data: bytes, start: int, end: int, depth: int = 0) -> tuple[str, Value]:
    """The key and value of a KeyValue. Raises MalformedError."""
    key, value = "", None
    for number, kind, first, last in fields(data, start, end):
        if number == 1:
            _must_be(kind, LENGTH)
            key = text(data, first, last)
        elif number == 2:
            _must_be(kind, LENGTH)
            value = decode_value(data, first, last, depth)
    return key, value


def decode_value(data: bytes, start: int, end: int, depth: int = 0) -> Value:
    """An AnyValue. Raises MalformedError."""
    if depth > DEEPEST:
        raise MalformedError(f"a value is nested more than {DEEPEST} times")
    value: Value = None
    for number, kind, first, last in fields(data, start, end):
        if number in (TEXT, LIST, MAP, BYTES):
            _must_be(kind, LENGTH)
        match number:
            case 1:
                value = text(data, first, last)
            case 2:
                _must_be(kind, VARINT)
                value = bool(first)
            case 3:
                _must_be(kind, VARINT)
                value = signed(first)
            case 4:
                _must_be(kind, FIXED64)
                value = double(first)
            case 5:
                value = [decode_value(data, *place, depth + 1) for place in _messages(data, first, last)]
            case 6:
                value = dict(decode_attribute(data, *place, depth + 1) for place in _messages(data, first, last))
            case 7:
                value = b64encode(data[first:last]).decode()
            case _:
                pass
    return value


def _messages(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Where the messages of field 1 are."""
    places: list[tuple[int, int]] = []
    for number, kind, first, last in fields(data, start, end):
        if number == 1:
            _must_be(kind, LENGTH)
            places.append((first, last))
            if len(places) > MOST:
                raise MalformedError(f"a list, or a map, has more than {MOST} values")
    return places


def _must_be(kind: int, wanted: int) -> None:
    if kind != wanted:
        raise MalformedError("a field has another wire type than its number")
