"""Where boxes and lines of the map are."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from atoll.dashboard.layout import GAP_Y, Box, Pair, Size, apart, forward, layers, layout

NAMES = [f"s{number}" for number in range(12)]
LINKS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=40, unique=True)


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


@given(links=LINKS)
def test_no_two_boxes_overlap_and_every_line_joins_its_boxes_whatever_the_graph(links: list[Pair]) -> None:
    made = layout({name: Size(100.0, 40.0 + 10 * (number % 3)) for number, name in enumerate(NAMES)}, links)
    assert set(made.boxes) == set(NAMES)
    assert not [pair for pair in itertools.combinations(made.boxes.values(), 2) if overlap(*pair)]
    for box in made.boxes.values():
        assert box.x >= 0
        assert box.y >= -0.01
        assert box.x + box.width <= made.width + 0.01
        assert box.y + box.height <= made.height + 0.01
    assert set(made.lines) == {pair for pair in links if pair[0] != pair[1]}
    for (caller, callee), points in made.lines.items():
        for (x, y), box in ((points[0], made.boxes[caller]), (points[-1], made.boxes[callee])):
            assert x in (box.x, box.x + box.width)
            assert box.y <= y <= box.y + box.height


@given(links=LINKS)
def test_callers_stand_left_of_whom_they_call_unless_that_leads_in_a_circle(links: list[Pair]) -> None:
    ahead = forward(NAMES, links)
    levels = layers(NAMES, ahead)
    assert all(levels[caller] < levels[callee] for caller, callee in ahead)


def test_a_line_that_leads_back_starts_at_its_caller() -> None:
    made = layout(dict.fromkeys(("a", "b"), Size(100.0, 40.0)), [("a", "b"), ("b", "a")])
    there, back = made.lines["a", "b"], made.lines["b", "a"]
    assert there[0][0] < there[-1][0]
    assert back[0][0] > back[-1][0]


def test_a_line_past_a_layer_goes_around_its_boxes() -> None:
    made = layout(dict.fromkeys(("a", "b", "c"), Size(100.0, 40.0)), [("a", "b"), ("b", "c"), ("a", "c")])
    box, line = made.boxes["b"], made.lines["a", "c"]
    passing = [y for x, y in line if x in (box.x, box.x + box.width)]
    assert len(passing) == 2
    assert not [y for y in passing if box.y <= y <= box.y + box.height]


@given(rows=st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(1, 100)), max_size=12))
def test_what_is_moved_apart_keeps_its_order_and_a_gap(rows: list[tuple[float, float]]) -> None:
    wanted, heights = [row[0] for row in rows], [row[1] for row in rows]
    found = apart(wanted, heights)
    assert len(found) == len(rows)
    for number in range(1, len(rows)):
        least = (heights[number - 1] + heights[number]) / 2 + GAP_Y
        assert found[number] - found[number - 1] >= least - 1e-6


def test_what_has_room_stays_where_it_wants_to_be() -> None:
    assert apart([0.0, 500.0], [40.0, 40.0]) == [0.0, 500.0]


def test_nothing_makes_an_empty_map() -> None:
    assert layout({}, []).boxes == {}
