"""What each program that things are forwarded to wants to be sent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from atoll.collector.arrivals import Arrival
from atoll.collector.ecs import ecs_document
from atoll.collector.limits import Limits
from atoll.collector.zipkin import zipkin_spans


class Taken(NamedTuple):
    """What waits to be sent. Two of them, one behind the other, are one again. size: how many spans or lines."""

    body: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Form:
    """path: behind the address. kind: of the body. take: what of an arrival is sent; called by who stores it.

    encode: makes a body of what was taken; raises MalformedError. refused: how many of it, by a good answer's body.
    """

    path: str
    kind: str
    take: Callable[[Arrival], Taken]
    encode: Callable[[bytes], bytes] = bytes
    refused: Callable[[bytes], int] = lambda _: 0


def forms(system: str, limits: Limits) -> Mapping[str, Form]:
    """By the names of `Forward`."""
    return {
        "jaeger": Form("/v1/traces", "application/x-protobuf", _spans),
        "zipkin": Form("/api/v2/spans", "application/json", _spans, partial(_zipkin, limits=limits)),
        "opensearch": Form(
            f"/{quote(index(system))}/_bulk?filter_path=items.*.error.type",
            "application/x-ndjson",
            partial(_lines, system=system, limits=limits),
            refused=_refused,
        ),
    }


def index(system: str) -> str:
    """Of log lines: where Elasticsearch, with the template that it comes with, makes a data stream."""
    return f"logs-{system}-atoll"


def _spans(arrival: Arrival) -> Taken:
    """As they came: two requests of OTLP behind one another are one."""
    return Taken(arrival.body, sum(len(group.spans) for group in arrival.groups))


def _zipkin(body: bytes, limits: Limits) -> bytes:
    return msgspec.json.encode(zipkin_spans(body, limits))


def _lines(arrival: Arrival, system: str, limits: Limits) -> Taken:
    """A line that says what to do, and one with the document, for each."""
    encode = msgspec.json.encode
    documents = (encode(ecs_document(line, system, limits.text)) for line in arrival.logs)
    return Taken(b"".join(b'{"create":{}}\n' + each + b"\n" for each in documents), len(arrival.logs))


def _refused(answer: bytes) -> int:
    try:
        return len(msgspec.json.decode(answer, type=dict[str, list[object]]).get("items", ()))
    except msgspec.DecodeError:
        return 0
