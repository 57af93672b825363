"""Finds out who asked whom, from spans that come in any order."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from atoll.collector.limits import Limits, cut
from atoll.collector.values import EdgeKind
from atoll.wire.otlp import Value

MOST_PARKED = 50_000
"""Spans whose other half is waited for; at twice as many the older half is forgotten."""

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)


class Asked(NamedTuple):
    """One edge of the map, once."""

    caller: str
    callee: str
    kind: EdgeKind


class Callers:
    """Joins the span of a call with that of who served it.

    A span that names whom it asked is an edge at once, also of a call that nobody received. Of the others the child of
    another service is waited for; the caller's span, where there is one, comes before or after it.
    """

    def __init__(self, limits: Limits) -> None:
        self._name = limits.name
        self._callers: _Parked = _Parked()
        self._served: _Parked = _Parked()

    def named(self, service: str, kind: int, facts: Mapping[str, Value]) -> Asked | None:
        """The edge that a span states by itself; None if its other half has to be found."""
        topic = facts.get("messaging.destination.name")
        if topic and kind == PRODUCER:
            return Asked(service, self._kept(topic), "publish")
        if topic and kind == CONSUMER:
            return Asked(self._kept(topic), service, "consume")
        # What Envoy calls a cluster is a service.
        peer = facts.get("peer.service") or facts.get("upstream_cluster.name")
        if peer and kind in (CLIENT, SERVER):
            return Asked(service, self._kept(peer), "call")
        database = facts.get("db.system.name") or facts.get("db.system")
        if database and kind == CLIENT:
            return Asked(service, self._kept(database), "database")
        return None

    def _kept(self, value: Value) -> str:
        name = str(value)
        return name if len(name) <= self._name else cut(name, self._name)

    def sent(self, span: bytes, service: str) -> Iterator[Asked]:
        """A span that names nobody, whoever may turn out to be below it."""
        other = self._served.get(span)
        if other and other != service:
            yield Asked(service, other, "call")
        self._callers.put(span, service)

    def received(self, parent: bytes, service: str) -> Iterator[Asked]:
        """A span of kind server, whose parent may be another service's."""
        other = self._callers.get(parent)
        if other is None:
            self._served.put(parent, service)
        elif other != service:
            yield Asked(other, service, "call")


class _Parked:
    """Services by span id, in two generations, of which the older goes when the newer is full."""

    def __init__(self) -> None:
        self._newer: dict[bytes, str] = {}
        self._older: dict[bytes, str] = {}

    def put(self, span: bytes, service: str) -> None:
        if len(self._newer) >= MOST_PARKED:
            self._older, self._newer = self._newer, {}
        self._newer[span] = service

    def get(self, span: bytes) -> str | None:
        return self._newer.get(span) or self._older.get(span)
