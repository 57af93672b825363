"""What came, as it is handed to the store."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from atoll.collector.spans import Group


class LogIn(NamedTuple):
    """A line as it is read. trace, span: None for none. attributes: JSON; None without any."""

    service: str
    replica: str
    time: int
    severity: int
    body: str
    trace: bytes | None = None
    span: bytes | None = None
    attributes: str | None = None


class PointIn(NamedTuple):
    """A metric's value. at: seconds since the epoch. attributes: JSON with sorted keys."""

    service: str
    replica: str
    name: str
    kind: str
    unit: str
    attributes: str
    at: int
    value: float


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file or container was followed; stored with the lines, so that none is stored twice."""

    name: str
    place: str
    position: str


@dataclass(slots=True)
class Arrival:
    """What is stored together. body: the request whose spans `groups` are. size: bytes that it holds in memory.

    gone: names of positions that nobody goes on from.
    """

    size: int = 0
    body: bytes = b""
    groups: Sequence[Group] = ()
    logs: Sequence[LogIn] = ()
    points: Sequence[PointIn] = ()
    positions: Sequence[Position] = ()
    gone: Sequence[str] = ()
    hits: Counter[str] = field(default_factory=Counter[str])
