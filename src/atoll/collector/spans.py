"""Reads the spans of an OTLP request: only what their rows and figures need; the rest stays as it came."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from atoll.collector.limits import Limits
from atoll.wire.otlp import Value, decode_attribute
from atoll.wire.protobuf import FIXED32, FIXED64, LENGTH, VARINT, MalformedError, fields, read_varint

FACTS = frozenset(
    {
        "peer.service",
        "upstream_cluster.name",
        "db.system.name",
        "db.system",
        "messaging.destination.name",
        "server.address",
        "error.type",
    }
)
"""Attributes that say whom a span asked, or what went wrong."""

REFUSED = "http.response.status_code"
"""A fact if it is between 400 and 499: the answer was no, which is no failure of who gave it."""

_REMEMBERED = 50_000
"""Attributes that were read before and need not be read again; at the limit all are forgotten."""

_LATEST = 1 << 63
# 0a 10 <trace> 12 08 <span>, and 39 <start> 41 <end>: how every sender begins, for all write fields by their numbers.
_IDS = Struct("<H16sH8s")
_TIMES = Struct("<BQBQ")
_NO_TRACE, _NOBODY = bytes(16), bytes(8)
_TRACE_TAG, _SPAN_TAG = 0x100A, 0x0812
_START_TAG, _END_TAG = 0x39, 0x41


class SpanIn(NamedTuple):
    """A span as it is read. parent: b"" for none. error: "" for none. place: where in the request its message is."""

    trace: bytes
    span: bytes
    parent: bytes
    name: bytes
    kind: int
    start: int
    duration: int
    error: str
    facts: dict[str, Value] | None
    place: int
    size: int


@dataclass(slots=True)
class Group:
    """The spans of one process."""

    service: str
    replica: str
    spans: list[SpanIn] = field(default_factory=list)


class SpanReader:
    """Reads requests one after the other; attributes that come again cost little."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # The fact that an attribute states, or None for one that is in order and states none.
        self._known: dict[bytes, tuple[str, Value] | None] = {}

    def read(self, data: bytes) -> list[Group]:
        """An ExportTraceServiceRequest. Raises MalformedError, also for more spans than one request may have."""
        groups: list[Group] = []
        left = self._limits.spans
        for source, scope in self.scopes(data):
            group = Group(*source)
            for place, last in messages(data, *scope, 2):
                left -= 1
                if left < 0:
                    raise MalformedError(f"a request has more than {self._limits.spans} spans")
                group.spans.append(self._span(data, place, last))
            groups.append(group)
        return groups

    def scopes(self, data: bytes) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
        """Whose it is, and where its spans, log records or metrics are. Raises MalformedError, also for too many."""
        left = self._limits.scopes
        for start, end in messages(data, 0, len(data), 1):
            source = self._source(data, start, end)
            for scope in messages(data, start, end, 2):
                left -= 1
                if left < 0:
                    break
                yield source, scope
            left -= 1  # one without scopes too
            if left < 0:
                raise MalformedError(f"a request has more than {self._limits.scopes} resources and scopes")

    def _source(self, data: bytes, start: int, end: int) -> tuple[str, str]:
        """Service and replica, by the resource of a ResourceSpans, ResourceLogs or ResourceMetrics."""
        found: dict[str, Value] = {}
        for place in messages(data, start, end, 1):
            for attribute in messages(data, *place, 1):
                key, value = decode_attribute(data, *attribute)
                found[key] = value
                if len(found) > self._limits.attributes:
                    raise MalformedError(f"a resource has more than {self._limits.attributes} attributes")
        service = str(found.get("service.name") or "unknown_service")
        replica = str(found.get("service.instance.id") or found.get("host.name") or service)
        # One character more than is kept: who cuts it counts it.
        most = self._limits.name + 1
        return service[:most], replica[:most]

    def _span(self, data: bytes, place: int, end: int) -> SpanIn:
        """Fields in the order of their numbers are read without looking; any other order by `_anyhow`."""
        if end - place < 56:
            return self._anyhow(data, place, end)
        tag, trace, second, span = _IDS.unpack_from(data, place)
        if tag != _TRACE_TAG or second != _SPAN_TAG or trace == _NO_TRACE or span == _NOBODY:
            return self._anyhow(data, place, end)
        at = place + 28
        parent = b""
        if data[at] == 0x22 and data[at + 1] == 8:
            parent = data[at + 2 : at + 10]
            if parent == _NOBODY:
                parent = b""
            at += 10
        length = data[at + 1]
        behind = at + 2 + length
        if data[at] != 0x2A or length > 0x7F or end - behind < 20 or data[behind] != 0x30:
            return self._anyhow(data, place, end)
        kind = data[behind + 1]
        tag, start, second, stop = _TIMES.unpack_from(data, behind + 2)
        if tag != _START_TAG or second != _END_TAG or kind > 5 or start >= _LATEST or stop >= _LATEST:
            return self._anyhow(data, place, end)
        error, facts = self._rest(data, behind + 20, end)
        name = data[at + 2 : behind]
        return SpanIn(trace, span, parent, name, kind, start, max(stop - start, 0), error, facts, place, end - place)

    def _rest(self, data: bytes, at: int, end: int) -> tuple[str, dict[str, Value] | None]:
        """The error and the facts in what comes behind the times."""
        known, facts, error, count = self._known, None, "", 0
        while at < end:
            if data[at] == 0x4A and at + 1 < end and data[at + 1] < 0x80:
                place = at + 2
                at = place + data[at + 1]
                if at > end:
                    raise MalformedError("a field is longer than its message")
                count += 1
                attribute = data[place:at]
                fact = known[attribute] if attribute in known else self._learn(attribute)
                if fact is not None:
                    facts = facts or {}
                    facts[fact[0]] = fact[1]
            else:
                error, more, further = self._others(data, at, end)
                facts = {**(facts or {}), **more} if more else facts
                count += further
                break
        if count > self._limits.attributes:
            raise MalformedError(f"a span has more than {self._limits.attributes} attributes")
        if error and facts and error == _UNTOLD:
            error = str(facts.get("error.type", error))
        return error, facts

    def _others(self, data: bytes, at: int, end: int) -> tuple[str, dict[str, Value], int]:
        """The error, the facts and the number of attributes among fields of any kind."""
        error, count, more = "", 0, 0
        facts: dict[str, Value] = {}
        for number, kind, first, last in fields(data, at, end):
            if number in (9, 11, 13, 15) and kind != LENGTH:
                raise MalformedError("a field has another wire type than its number")
            if number == 9:
                count += 1
                fact = self._learn(data[first:last])
                if fact is not None:
                    facts[fact[0]] = fact[1]
            elif number in (11, 13):
                more += 1
                if more > self._limits.events:
                    raise MalformedError(f"a span has more than {self._limits.events} events and links")
                self._check_attributes(data, first, last, 3 if number == 11 else 4)
            elif number == 15:
                error = _error(data, first, last)
        return error, facts, count

    def _check_attributes(self, data: bytes, start: int, end: int, wanted: int) -> None:
        for count, (place, last) in enumerate(messages(data, start, end, wanted)):
            if count >= self._limits.attributes:
                raise MalformedError(f"an event, or a link, has more than {self._limits.attributes} attributes")
            self._learn(data[place:last])

    def _learn(self, attribute: bytes) -> tuple[str, Value] | None:
        """Read an attribute, to know that it can be read when somebody wants to see it."""
        key, value = decode_attribute(attribute, 0, len(attribute))
        is_fact = key in FACTS or (key == REFUSED and isinstance(value, int) and 400 <= value < 500)
        fact = (key, value) if is_fact else None
        if len(attribute) < 256:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[attribute] = fact
        return fact

    def _anyhow(self, data: bytes, place: int, end: int) -> SpanIn:
        """A span whatever the order of its fields."""
        texts = dict.fromkeys((_TRACE, _SPAN, _PARENT, _NAME), b"")
        numbers = dict.fromkeys((_KIND, _START, _END), 0)
        for number, wire, first, last in fields(data, place, end):
            if wire != _WIRE.get(number, wire):
                raise MalformedError("a field has another wire type than its number")
            if number in texts:
                texts[number] = data[first:last]
            elif number in numbers:
                numbers[number] = first
        trace, span, parent = texts[_TRACE], texts[_SPAN], texts[_PARENT]
        if len(trace) != 16 or len(span) != 8 or len(parent) not in (0, 8) or trace == _NO_TRACE or span == _NOBODY:
            raise MalformedError("a span has no valid ids")
        start, stop = numbers[_START], numbers[_END]
        if start >= _LATEST or stop >= _LATEST:
            raise MalformedError("a span is later than the year 2262")
        error, facts, count = self._others(data, place, end)
        if count > self._limits.attributes:
            raise MalformedError(f"a span has more than {self._limits.attributes} attributes")
        if error == _UNTOLD:
            error = str(facts.get("error.type", error))
        kind = numbers[_KIND] if numbers[_KIND] <= 5 else 0
        parent = b"" if parent == _NOBODY else parent
        duration = max(stop - start, 0)
        return SpanIn(trace, span, parent, texts[_NAME], kind, start, duration, error, facts, place, end - place)


_TRACE, _SPAN, _PARENT, _NAME, _KIND, _START, _END = 1, 2, 4, 5, 6, 7, 8
_WIRE: Mapping[int, int] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 9, 11, 13, 15), LENGTH),
    **dict.fromkeys((6, 10, 12, 14), VARINT),
    **dict.fromkeys((7, 8), FIXED64),
    16: FIXED32,
}
_UNTOLD = "error"
_FAILED = 2


def _error(data: bytes, start: int, end: int) -> str:
    """Of a Status: its message, or that there was an error; "" without one."""
    code, message = 0, ""
    for number, kind, first, last in fields(data, start, end):
        if number == 2 and kind == LENGTH:
            message = data[first:last].decode(errors="replace")
        elif number == 3 and kind == VARINT:
            code = first
    return (message or _UNTOLD) if code == _FAILED else ""


def messages(data: bytes, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Where the messages of this field are, a number below 16. Raises MalformedError."""
    tag = wanted << 3 | LENGTH
    at = start
    while at < end:
        if data[at] != tag:
            at = _skip(data, at, end, wanted)
            continue
        length, place = read_varint(data, at + 1, end)
        at = place + length
        if at > end:
            raise MalformedError("a field is longer than its message")
        yield place, at


def _skip(data: bytes, at: int, end: int, wanted: int) -> int:
    """The place behind the field that begins here."""
    tag, place = read_varint(data, at, end)
    kind = tag & 7
    if tag >> 3 == wanted or not tag >> 3:
        raise MalformedError("a field has another wire type than its number")
    if kind == LENGTH:
        length, place = read_varint(data, place, end)
        place += length
    elif kind == VARINT:
        _, place = read_varint(data, place, end)
    elif kind in (FIXED64, FIXED32):
        place += 8 if kind == FIXED64 else 4
    else:
        raise MalformedError(f"there is no wire type {kind}")
    if place > end:
        raise MalformedError("a field is longer than its message")
    return place
