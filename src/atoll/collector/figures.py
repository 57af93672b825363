"""Durations counted in buckets, and what can be said of them afterwards."""

from collections.abc import Iterable, Iterator, Sequence

from atoll.collector.values import Figures

STEP = 10
"""Seconds of one row of figures."""


def bucket(nanoseconds: int) -> int:
    """The number of the duration's bucket: eight in each doubling, so that none is wider than an eighth.

    36 864 ns (0b1001_0000_0000_0000) → 16 * 8 + 1
    """
    bits = nanoseconds.bit_length()
    if bits <= 3:
        return 0
    return bits << 3 | nanoseconds >> bits - 4 & 7


def middle(number: int) -> float:
    """Milliseconds in the middle of a bucket."""
    bits, eighth = number >> 3, number & 7
    if bits <= 3:
        return 0.0
    return (8 + eighth + 0.5) * 2.0 ** (bits - 4) / 1e6


def figures(counted: Iterable[tuple[int, int, int]], seconds: float) -> Figures:
    """counted: bucket, calls, errors, in the order of buckets."""
    rows = list(counted)
    calls, errors = sum(row[1] for row in rows), sum(row[2] for row in rows)
    if not calls:
        return Figures()
    p50, p99 = (middle(_at_share(rows, share * calls)) for share in (0.5, 0.99))
    return Figures(calls, errors, calls / seconds, errors / calls, p50, p99)


def _at_share(rows: Sequence[tuple[int, int, int]], wanted: float) -> int:
    seen = 0
    for number, calls, _ in rows:
        seen += calls
        if seen >= wanted:
            return number
    return rows[-1][0]


def grouped(
    rows: Iterable[tuple[object, ...]], width: int
) -> Iterator[tuple[tuple[object, ...], list[tuple[int, int, int]]]]:
    """Rows of a key of `width` columns, bucket, calls and errors, in that order, as one list a key."""
    key: tuple[object, ...] = ()
    found: list[tuple[int, int, int]] = []
    for row in rows:
        if row[:width] != key:
            if found:
                yield key, found
            key, found = row[:width], []
        bucket_, calls, errors = row[width:]
        assert isinstance(bucket_, int)
        assert isinstance(calls, int)
        assert isinstance(errors, int)
        found.append((bucket_, calls, errors))
    if found:
        yield key, found
