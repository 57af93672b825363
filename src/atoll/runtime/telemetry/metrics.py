"""Numbers about a process, as Prometheus reads them."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Literal, TypeVar

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds. Source: OpenTelemetry semantic conventions, http.server.request.duration."""

MOST_SERIES = 2_000
"""Label sets of one metric; the measurements of any further one go to the label set {overflow="true"}."""

Labels = tuple[tuple[str, str], ...]
Kind = Literal["histogram", "counter", "gauge"]


class Histogram:
    """How long something takes."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str, labels: Labels) -> list[str]:
        at_most = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        made = [
            f"{name}_bucket{_braces((*labels, ('le', bound)))} {count}"
            for bound, count in zip(at_most, accumulate(self.counts), strict=True)
        ]
        return [
            *made,
            f"{name}_sum{_braces(labels)} {self.total!r}",
            f"{name}_count{_braces(labels)} {sum(self.counts)}",
        ]


class Counter:
    """How often something happened."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, amount: float = 1) -> None:
        self.value += amount

    def lines(self, name: str, labels: Labels) -> list[str]:
        return [f"{name}{_braces(labels)} {self.value:.17g}"]


class Gauge:
    """How much of something there is: what was set last, or what `read` says when somebody looks."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self.value = value

    def lines(self, name: str, labels: Labels) -> list[str]:
        value = self.read() if self.read is not None else self.value
        return [f"{name}{_braces(labels)} {value:.17g}"]


Series = Histogram | Counter | Gauge
S = TypeVar("S", Histogram, Counter, Gauge)


class _Family:
    """All the series of one name."""

    def __init__(self, kind: Kind, text: str) -> None:
        self.kind = kind
        self.help = text
        self.series: dict[Labels, Series] = {}


class Metrics:
    """Every metric of one process.

    Names and labels are OpenTelemetry's, such as "http.server.request.duration" and "http.route". The page has them
    as Prometheus writes them: "_" for ".", and the unit behind; so it is `http_server_request_duration_seconds`.
    Asking again for the same name and labels gives the same series; a hot path keeps it.
    """

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}

    def histogram(self, name: str, help: str, labels: Mapping[str, str]) -> Histogram:  # noqa: A002
        """Durations in seconds."""
        return self._series(Histogram, "histogram", _with_unit(name, "_seconds"), help, labels)

    def counter(self, name: str, help: str, labels: Mapping[str, str]) -> Counter:  # noqa: A002
        """A number that only grows."""
        return self._series(Counter, "counter", _with_unit(name, "_total"), help, labels)

    def gauge(self, name: str, help: str, labels: Mapping[str, str]) -> Gauge:  # noqa: A002
        """A number that goes up and down."""
        return self._series(Gauge, "gauge", _with_unit(name, ""), help, labels)

    def _series(self, cls: type[S], kind: Kind, name: str, text: str, labels: Mapping[str, str]) -> S:
        family = self._families.setdefault(name, _Family(kind, text))
        key: Labels = tuple(sorted((label.replace(".", "_"), value) for label, value in labels.items()))
        if key not in family.series and len(family.series) >= MOST_SERIES:
            key = (("overflow", "true"),)
        series = family.series.setdefault(key, cls())
        if not isinstance(series, cls):
            raise TypeError(f"the metric {name} is a {family.kind}")
        return series

    def render(self) -> str:
        """The page. Source: Prometheus text exposition format 0.0.4."""
        lines: list[str] = []
        for name, family in sorted(self._families.items()):
            lines += [f"# HELP {name} {_escaped(family.help)}", f"# TYPE {name} {family.kind}"]
            for labels, series in family.series.items():
                lines += series.lines(name, labels)
        return "\n".join(lines) + "\n"


def _with_unit(name: str, unit: str) -> str:
    name = name.replace(".", "_")
    return name if name.endswith(unit) else name + unit


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{label}="{_escaped(value).replace(chr(34), chr(92) + chr(34))}"' for label, value in labels)
    return "{" + inside + "}"
