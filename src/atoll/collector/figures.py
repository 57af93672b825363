"""Durations counted in buckets, and what can be said of them afterwards. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from atoll.collector.values import Figures

STEP = 10
"""Seconds of the shortest row of figures."""

STEPS = (180, STEP)
"""Seconds of rows of each length, the longest first; every span is counted in one row of each."""


class Counts(msgspec.Struct, array_like=True):
    """How many calls took so long, by the number of a bucket, and how many of these were errors."""

    calls: dict[int, int] = msgspec.field(default_factory=dict[int, int])
    errors: dict[int, int] = msgspec.field(default_factory=dict[int, int])

    def count(self, number: int, failed: bool) -> None:
        """One more call, in the bucket of this number."""
        self.calls[number] = self.calls.get(number, 0) + 1
        if failed:
            self.errors[number] = self.errors.get(number, 0) + 1

    def add(self, other: "Counts") -> None:
        for mine, theirs in ((self.calls, other.calls), (self.errors, other.errors)):
            for number, count in theirs.items():
                mine[number] = mine.get(number, 0) + count

    def figures(self, seconds: float) -> Figures:
        """What can be said of them, if that is how long it took until there were so many."""
        calls, errors = sum(self.calls.values()), sum(self.errors.values())
        if not calls:
            return Figures()
        p50, p99 = (middle(self._at_share(share * calls)) for share in (0.5, 0.99))
        return Figures(calls, errors, calls / seconds, errors / calls, p50, p99)

    def _at_share(self, wanted: float) -> int:
        seen = number = 0
        for number in sorted(self.calls):
            seen += self.calls[number]
            if seen >= wanted:
                break
        return number


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Counts)


def pack(counts: Counts) -> bytes:
    """As it is stored: two or three bytes a bucket, and one or two a count."""
    return _ENCODER.encode(counts)


def unpack(packed: bytes) -> Counts:
    return _DECODER.decode(packed)


def together(one: bytes, other: bytes) -> bytes:
    """Two that are packed, added up."""
    sum_ = unpack(one)
    sum_.add(unpack(other))
    return pack(sum_)


class Piece(NamedTuple):
    """The rows of `step` seconds that begin at `first` or later, and before `last`."""

    step: int
    first: int
    last: int


def pieces(first: int, until: float, within: int = 0) -> Iterator[Piece]:
    """The fewest rows that together are all of `first`, a multiple of ten, to `until`.

    within: seconds, a multiple of ten; no row is of more than one of these. 0: of any length.
    pieces(170, 575) → 170 to 180 in tens, 180 to 540 in rows of 180, 540 to 580 in tens
    """
    begin = first
    while first < until:
        step = _longest(first, until, within)
        first += step
        if first >= until or _longest(first, until, within) != step:
            yield Piece(step, begin, first)
            begin = first


def _longest(first: int, until: float, within: int) -> int:
    """Seconds of the longest row that begins at `first` and is over by then."""
    return next(
        step for step in STEPS if step == STEP or (within % step == 0 and first % step == 0 and first + step <= until)
    )


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
