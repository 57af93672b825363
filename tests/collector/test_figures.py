"""Figures as they are stored, rows of ten seconds and longer ones, against what the spans themselves say."""

import itertools
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from atoll.collector.figures import STEP, STEPS, Counts, pack, pieces, together, unpack
from atoll.collector.limits import Limits
from atoll.collector.query import Query, Window
from atoll.collector.store import Store
from atoll.collector.values import Figures
from tests.collector.sending import arrival, span

NOW = 1_800_000_000
PERIOD = 1_200
SERVICES = ("catalog", "payment")


class Made(NamedTuple):
    """A span, by what figures are made of. ended: seconds since the epoch. peer: "" for a request that was served."""

    service: str
    name: str
    ended: int
    microseconds: int
    failed: bool
    peer: str

    @property
    def at(self) -> int:
        return self.ended // STEP * STEP

    def span(self) -> Span:
        kind = Span.SPAN_KIND_CLIENT if self.peer else Span.SPAN_KIND_SERVER
        made = span(self.name, kind=kind, error="oh" if self.failed else "", peer__service=self.peer)
        made.end_time_unix_nano = self.ended * 10**9
        made.start_time_unix_nano = made.end_time_unix_nano - self.microseconds * 1_000
        return made


SPANS = st.builds(
    Made,
    service=st.sampled_from(SERVICES),
    name=st.sampled_from(("GET /", "GET /", "POST /")),
    ended=st.integers(NOW - PERIOD, NOW),
    microseconds=st.integers(1, 10_000_000),
    failed=st.booleans(),
    peer=st.sampled_from(("", "", "email")),
)
WINDOWS = st.tuples(st.integers(0, PERIOD), st.integers(1, PERIOD)).map(
    lambda each: Window(NOW - each[0], NOW - each[0] + each[1] + 0.5)
)


def write(folder: Path, spans: Sequence[Made], commits: int) -> Query:
    """In so many commits, and in any order."""
    store = Store(folder, Limits())
    for number in range(commits):
        commit = spans[number::commits]
        sent = {name: [made.span() for made in commit if made.service == name] for name in SERVICES}
        store.write([arrival(sent)], NOW)
    store.close()
    return Query(folder)


def check(found: Figures, spans: Sequence[Made], seconds: float) -> None:
    failed, durations = sum(made.failed for made in spans), sorted(made.microseconds / 1e3 for made in spans)
    assert (found.calls, found.errors) == (len(spans), failed)
    assert found.rate == pytest.approx(len(spans) / seconds)
    assert found.error_rate == pytest.approx(failed / len(spans))
    for share, told in ((0.5, found.p50), (0.99, found.p99)):
        assert told == pytest.approx(durations[math.ceil(share * len(spans)) - 1], rel=0.07)


def by(spans: Sequence[Made], key: Callable[[Made], object]) -> dict[object, list[Made]]:
    return {each: list(those) for each, those in itertools.groupby(sorted(spans, key=lambda made: str(key(made))), key)}


@settings(max_examples=40, deadline=None)
@given(st.lists(SPANS, min_size=20, max_size=100), WINDOWS, st.integers(1, 3), st.sampled_from((10, 30, 120, 180, 360)))
def test_figures_of_any_window_are_those_of_its_spans(
    spans: list[Made], window: Window, commits: int, step: int
) -> None:
    inside = [made for made in spans if window.first_step <= made.at < window.until]
    served, asked = ([made for made in inside if bool(made.peer) is is_asked] for is_asked in (False, True))
    with tempfile.TemporaryDirectory() as folder:
        query = write(Path(folder), spans, commits)
        services = {each.service: each.figures for each in query.services(window)}
        operations = {(each.service, each.name): each.figures for each in query.operations(window)}
        of_one = {(each.service, each.name): each.figures for each in query.operations(window, "payment")}
        edges = {(each.caller, each.callee): each.figures for each in query.edges(window)}
        history = {each.at: each.figures for each in query.history(window, "payment", step)}
    for found, those in (
        (services, by(served, lambda made: made.service)),
        (operations, by(served, lambda made: (made.service, made.name))),
        (edges, by(asked, lambda made: (made.service, made.peer))),
    ):
        assert found.keys() == those.keys()
        for key, made in those.items():
            check(found[key], made, window.seconds)  # type: ignore[index]
    assert of_one == {key: figures for key, figures in operations.items() if key[0] == "payment"}
    moments = by([made for made in served if made.service == "payment"], lambda made: made.at // step * step)
    assert history.keys() == moments.keys()
    for at, made in moments.items():
        check(history[at], made, step)  # type: ignore[index]


@given(st.integers(0, 10_000), st.integers(0, 20_000_000), st.sampled_from((0, 10, 30, 180, 360)))
def test_rows_cover_a_window_once_and_no_more_of_them_than_it_takes(begin: int, milliseconds: int, within: int) -> None:
    first, until = begin * STEP, begin * STEP + milliseconds / 1000
    found = list(pieces(first, until, within))
    # One behind the other, from its beginning to its end, in whole rows
    ends = [first, *(piece.last for piece in found)]
    assert [piece.first for piece in found] == ends[:-1]
    assert until <= ends[-1] < until + STEP
    assert all(piece.step in STEPS and piece.first % piece.step == piece.last % piece.step == 0 for piece in found)
    assert all(within % piece.step == 0 for piece in found)
    # With short rows only before and behind the long ones
    longest = STEPS[0]
    if not within % longest:
        assert sum(piece.last - piece.first for piece in found if piece.step == STEP) < 2 * longest


def test_counts_are_small_when_they_are_stored() -> None:
    counts = Counts()
    for number in range(60):
        counts.count(200 + number, failed=number % 20 == 0)
    packed = pack(counts)
    assert len(packed) < 300
    assert unpack(together(packed, packed)).calls == dict.fromkeys(range(200, 260), 2)
