"""The wheel of deadlines: never early, never forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from atoll.runtime.resilience.deadline import Wheel, share

MS = 1_000_000


def test_what_has_passed_is_returned_once() -> None:
    wheel = Wheel[str](0)
    wheel.add("soon", 20 * MS)
    wheel.add("late", 5_000 * MS)
    assert wheel.expired(19 * MS) == []
    assert wheel.expired(20 * MS) == ["soon"]
    assert wheel.expired(4_999 * MS) == []
    assert wheel.expired(5_000 * MS) == ["late"]
    assert wheel.waiting == 0


def test_what_ended_in_time_never_expires() -> None:
    wheel = Wheel[str](0)
    slot = wheel.add("call", 20 * MS)
    slot.pop("call", None)
    slot.pop("call", None)
    assert wheel.expired(100 * MS) == []
    assert wheel.waiting == 0


def test_a_deadline_that_has_passed_when_added_expires_at_the_next_look() -> None:
    wheel = Wheel[str](0)
    wheel.expired(1_000 * MS)
    wheel.add("over", 1 * MS)
    assert wheel.expired(1_001 * MS) == ["over"]


def test_a_machine_that_slept_for_an_hour_finds_all_of_them() -> None:
    wheel = Wheel[int](0)
    for number in range(1000):
        wheel.add(number, number * 10 * MS)
    assert sorted(wheel.expired(3_600_000 * MS)) == list(range(1000))


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.booleans()), max_size=60),
    st.lists(st.integers(1, 700), min_size=1, max_size=60),
)
def test_each_deadline_expires_at_the_first_look_after_it(deadlines: list[tuple[int, bool]], looks: list[int]) -> None:
    """deadlines: milliseconds, and whether the call ends in time. looks: milliseconds between them."""
    wheel, now = Wheel[int](0), 0
    slots = {number: wheel.add(number, at * MS) for number, (at, _) in enumerate(deadlines)}
    for number, (_, ends) in enumerate(deadlines):
        if ends:
            del slots.pop(number)[number]
    pending = {number: deadlines[number][0] for number in slots}
    for step in looks:
        now += step
        due = {number for number, at in pending.items() if at <= now}
        assert set(wheel.expired(now * MS)) == due
        for number in due:
            del pending[number]
        assert wheel.waiting == len(pending)


def test_a_call_leaves_its_caller_a_twentieth_of_the_time_and_never_less_than_a_deadline_may_be_late() -> None:
    assert share(3_000 * MS) == 2_850 * MS
    assert share(100 * MS) == 80 * MS
    assert share(10 * MS) == 5 * MS
    assert share(0) == 0
    assert share(-100 * MS) < 0


@given(st.integers(1, 10**13))
def test_a_call_gets_some_of_the_time_and_never_all(left: int) -> None:
    assert 0 < share(left) <= left
    assert left - share(left) >= min(18 * MS, left // 2)
