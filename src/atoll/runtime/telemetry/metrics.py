"""Numbers about a process, as Prometheus reads them."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar, cast

from atoll.wire.exposition import Kind, Labels, braces, heading, line

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds. Source: OpenTelemetry semantic conventions, http.server.request.duration."""

MOST_SERIES = 2_000
"""Label sets of one metric; the measurements of any further one go to the label set {overflow="true"}."""

OVERFLOW: Labels = (("overflow", "true"),)


class Histogram:
    """How long something takes."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def lines(self, name: str, labels: Labels) -> list[str]:
        # "1.0", not "1": newer versions of Prometheus write it so themselves, and rules have to name it.
        at_most = [*map(repr, self.bounds), "+Inf"]
        made = [
            f"{name}_bucket{braces((*labels, ('le', bound)))} {count}"
            for bound, count in zip(at_most, accumulate(self.counts), strict=True)
        ]
        return [
            *made,
            f"{name}_sum{braces(labels)} {self.total!r}",
            f"{name}_count{braces(labels)} {sum(self.counts)}",
        ]


class Counter:
    """How often something happened: what was added up, or what `read` says when somebody looks."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.read: Callable[[], float] | None = None

    def add(self, amount: float = 1) -> None:
        self.value += amount

    def now(self) -> float:
        return self.read() if self.read is not None else self.value

    def lines(self, name: str, labels: Labels) -> list[str]:
        return [line(name, labels, self.now())]


class Gauge:
    """How much of something there is: what was set last, or what `read` says when somebody looks."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self.value = value

    def now(self) -> float:
        return self.read() if self.read is not None else self.value

    def lines(self, name: str, labels: Labels) -> list[str]:
        return [line(name, labels, self.now())]


Series = Histogram | Counter | Gauge
S = TypeVar("S", Histogram, Counter, Gauge)


class Family:
    """All the series of one name. said: the name as OpenTelemetry has it; labels: so as well, of each series."""

    def __init__(self, kind: Kind, said: str, text: str) -> None:
        self.kind = kind
        self.said = said
        self.help = text
        self.series: dict[Labels, Series] = {}
        self.labels: dict[Labels, Labels] = {}


class Metrics:
    """Every metric of one process.

    Names and labels are OpenTelemetry's, such as "http.server.request.duration" and "http.route". The page has them
    as Prometheus writes them: "_" for ".", and the unit behind; so it is `http_server_request_duration_seconds`.
    Asking again for the same name and labels gives the same series; a hot path keeps it.

    bounds: of histograms, in seconds, beside the usual ones.
    """

    def __init__(self, bounds: Sequence[float] = ()) -> None:
        self._families: dict[str, Family] = {}
        self._bounds = tuple(sorted({*BOUNDS, *map(float, bounds)}))

    def histogram(self, name: str, help: str, labels: Mapping[str, str]) -> Histogram:  # noqa: A002
        """Durations in seconds."""
        return self._series(lambda: Histogram(self._bounds), "histogram", (name, "_seconds"), help, labels)

    def counter(self, name: str, help: str, labels: Mapping[str, str]) -> Counter:  # noqa: A002
        """A number that only grows."""
        return self._series(Counter, "counter", (name, "_total"), help, labels)

    def gauge(self, name: str, help: str, labels: Mapping[str, str]) -> Gauge:  # noqa: A002
        """A number that goes up and down."""
        return self._series(Gauge, "gauge", (name, ""), help, labels)

    def _series(
        self, new: Callable[[], S], kind: Kind, said: tuple[str, str], text: str, labels: Mapping[str, str]
    ) -> S:
        """said: the name, and the unit that the page wants behind it."""
        name = _with_unit(*said)
        family = self._families.setdefault(name, Family(kind, said[0], text))
        key: Labels = tuple(sorted((label.replace(".", "_"), value) for label, value in labels.items()))
        if key not in family.series and len(family.series) >= MOST_SERIES:
            key = OVERFLOW
        if family.kind != kind:
            raise TypeError(f"the metric {name} is a {family.kind}")
        if key not in family.series:
            family.labels[key] = key if key == OVERFLOW else tuple(sorted(labels.items()))
        return cast(S, family.series.setdefault(key, new()))

    def families(self) -> list[Family]:
        """All there are, for who encodes them otherwise."""
        return list(self._families.values())

    def render(self) -> str:
        """The page. Source: Prometheus text exposition format 0.0.4."""
        lines: list[str] = []
        for name, family in sorted(self._families.items()):
            lines += heading(name, family.kind, family.help)
            for labels, series in family.series.items():
                lines += series.lines(name, labels)
        return "\n".join(lines) + "\n"


def _with_unit(name: str, unit: str) -> str:
    name = name.replace(".", "_")
    return name if name.endswith(unit) else name + unit
