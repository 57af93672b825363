"""Metrics as OTLP has them, a family at a time. Source: opentelemetry-proto 1.5, metrics.proto."""

from collections.abc import Iterator, Mapping
from struct import pack

from atoll.runtime.telemetry.metrics import Family, Histogram, Metrics
from atoll.wire.exposition import Kind
from atoll.wire.otlp import attribute
from atoll.wire.protobuf import bytes_field, double_field, fixed_field, number_field, text_field

_GAUGE, _SUM, _HISTOGRAM = 5, 7, 9
_FIELDS: Mapping[Kind, int] = {"gauge": _GAUGE, "counter": _SUM, "histogram": _HISTOGRAM}
_CUMULATIVE = 2


def encoded(metrics: Metrics, began: int, now: int) -> Iterator[bytes]:
    """Each a `metrics` of a ScopeMetrics. began, now: nanoseconds since the epoch."""
    times = fixed_field(2, began) + fixed_field(3, now)
    for family in metrics.families():
        points = b"".join(_points(family, times))
        field = _FIELDS[family.kind]
        told = b"" if field == _GAUGE else number_field(2, _CUMULATIVE)
        grows = number_field(3, 1) if field == _SUM else b""
        data = bytes_field(field, points + told + grows)
        unit = text_field(3, "s") if family.kind == "histogram" else b""
        yield bytes_field(2, text_field(1, family.said) + text_field(2, family.help) + unit + data)


def _points(family: Family, times: bytes) -> Iterator[bytes]:
    """Each a `data_points`."""
    for key, series in family.series.items():
        labels = family.labels.get(key, key)
        if isinstance(series, Histogram):
            counts, bounds = series.counts, series.bounds
            yield bytes_field(
                1,
                b"".join(
                    (
                        times,
                        fixed_field(4, sum(counts)),
                        double_field(5, series.total),
                        bytes_field(6, pack(f"<{len(counts)}Q", *counts)),
                        bytes_field(7, pack(f"<{len(bounds)}d", *bounds)),
                        *(attribute(9, name, value) for name, value in labels),
                    )
                ),
            )
        else:
            said = b"".join(attribute(7, name, value) for name, value in labels)
            yield bytes_field(1, times + double_field(4, series.now()) + said)
