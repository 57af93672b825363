"""Spans and log lines as OTLP has them; what is the same in many is encoded once.

Source: opentelemetry-proto 1.5, trace.proto and logs.proto.
"""

import logging
from collections.abc import Iterable
from struct import Struct

from atoll.wire.otlp import attribute, encode_value
from atoll.wire.protobuf import bytes_field, fixed_field, number_field, text_field, varint

MOST_SHAPES = 4_096
"""Spans that differ in what they say, not in when, of which the encoding is kept; at the limit all are forgotten."""

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}.__getitem__
_MASK = (1 << 64) - 1
# 0a 10 <trace> 12 08 <span> [22 08 <parent>] … 39 <start> 41 <end>
_ROOT = Struct(">2sQQ2sQ")
_CHILD = Struct(">2sQQ2sQ2sQ")
_TIMES = Struct("<BQBQ")

Shape = tuple[bytes, bytes, bytes, bytes]
"""Of a span: tag and length without and with a parent, what is before its times, and what is behind them."""


class SpanEncoder:
    """Encodes what a recorder keeps: (kind, name, trace, span, parent, start, end, error, attributes)."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[object, ...], Shape] = {}
        self._names: dict[tuple[object, object], bytes] = {}

    def encode(self, spans: Iterable[tuple[object, ...]], offset: int) -> bytes:
        """The `spans` of a ScopeSpans. offset: nanoseconds from the spans' clock to the epoch."""
        parts: list[bytes] = []
        add, shapes = parts.append, self._shapes
        child, root, times = _CHILD.pack, _ROOT.pack, _TIMES.pack
        for kind, name, trace, span, parent, start, end, error, attributes in spans:
            shape = shapes.get((kind, name, error, attributes)) or self._learn(kind, name, error, attributes)
            alone, below, before, behind = shape
            if parent:
                add(below)
                add(child(b"\x0a\x10", trace >> 64, trace & _MASK, b"\x12\x08", span, b"\x22\x08", parent))  # type: ignore[operator]
            else:
                add(alone)
                add(root(b"\x0a\x10", trace >> 64, trace & _MASK, b"\x12\x08", span))  # type: ignore[operator]
            add(before)
            add(times(0x39, start + offset, 0x41, end + offset))  # type: ignore[operator]
            add(behind)
        return b"".join(parts)

    def _learn(self, kind: object, name: object, error: object, attributes: object) -> Shape:
        flat: tuple[object, ...] = attributes or ()  # type: ignore[assignment]
        said = b"".join([_attribute(flat[at], flat[at + 1]) for at in range(0, len(flat), 2)])
        behind = said + self._error(error) if error else said
        before = self._names.get((kind, name)) or self._name(kind, name)
        size = _ROOT.size + len(before) + _TIMES.size + len(behind)
        with_parent = size + _CHILD.size - _ROOT.size
        shape = (b"\x12" + varint(size), b"\x12" + varint(with_parent), before, behind)
        if len(self._shapes) >= MOST_SHAPES:
            self._shapes.clear()
        self._shapes[kind, name, error, attributes] = shape
        return shape

    def _name(self, kind: object, name: object) -> bytes:
        if len(self._names) >= MOST_SHAPES:
            self._names.clear()
        made = self._names[kind, name] = text_field(5, str(name)) + number_field(6, _KINDS(str(kind)))
        return made

    @staticmethod
    def _error(error: object) -> bytes:
        return attribute(9, "error.type", error) + bytes_field(15, text_field(2, str(error)) + number_field(3, 2))


def _attribute(key: object, value: object) -> bytes:
    """Most are short texts, many of which come only once, such as the ids of messages."""
    if type(value) is str and type(key) is str:
        name, text = key.encode(errors="replace"), value.encode(errors="replace")
        if len(name) + len(text) < 118:
            sizes = (0x4A, len(name) + len(text) + 6, 0x0A, len(name))
            return b"%b%b%b%b" % (bytes(sizes), name, bytes((0x12, len(text) + 2, 0x0A, len(text))), text)
    return attribute(9, str(key), value)


_SEVERITIES = ((logging.CRITICAL, 21), (logging.ERROR, 17), (logging.WARNING, 13), (logging.INFO, 9), (0, 5))


def log_record(record: logging.LogRecord, message: str, extras: dict[str, object], ids: tuple[int, int]) -> bytes:
    """A `log_records` of a ScopeLogs. ids: of trace and span, 0 where it belongs to none."""
    severity = next(number for level, number in _SEVERITIES if record.levelno >= level)
    trace, span = ids
    nanoseconds = int(record.created * 1e6) * 1_000
    return bytes_field(
        2,
        b"".join(
            (
                fixed_field(1, nanoseconds),
                number_field(2, severity),
                text_field(3, record.levelname),
                bytes_field(5, encode_value(message)),
                *(attribute(6, key, value) for key, value in extras.items()),
                bytes_field(9, trace.to_bytes(16, "big")) + bytes_field(10, span.to_bytes(8, "big")) if trace else b"",
                fixed_field(11, nanoseconds),
            )
        ),
    )


def resource(system: str, service: str, replica: str) -> bytes:
    """Who sends. Source: OpenTelemetry's conventions for resources."""
    said = {
        "service.namespace": system,
        "service.name": service,
        "service.instance.id": replica,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "atoll",
    }
    return bytes_field(1, b"".join(attribute(1, key, value) for key, value in said.items()))


def request(who: bytes, items: bytes) -> bytes:
    """A request of any of the three kinds, whose items are in one scope."""
    return bytes_field(1, who + bytes_field(2, bytes_field(1, text_field(1, "atoll")) + items))
