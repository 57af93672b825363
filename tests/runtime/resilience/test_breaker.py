"""The circuit breaker as a state machine: no clock, no waiting."""

from hypothesis import given
from hypothesis import strategies as st

from atoll.runtime.resilience.breaker import Breaker, BreakerLimits, Permit, State


def fail(breaker: Breaker, times: int, now: float) -> None:
    for _ in range(times):
        breaker.failed(breaker.enter(now), now)


def succeed(breaker: Breaker, times: int, now: float) -> None:
    for _ in range(times):
        breaker.succeeded(breaker.enter(now), now)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(BreakerLimits())
    fail(breaker, 20, now)
    return breaker


def test_fewer_than_twenty_calls_never_open_it() -> None:
    breaker = Breaker(BreakerLimits())
    fail(breaker, 19, 5.0)
    assert breaker.state is State.CLOSED


def test_it_opens_when_half_of_twenty_calls_failed() -> None:
    breaker = Breaker(BreakerLimits())
    succeed(breaker, 10, 5.0)
    fail(breaker, 9, 5.0)
    assert breaker.state is State.CLOSED
    fail(breaker, 1, 5.0)
    assert breaker.enter(5.9) is Permit.NO


def test_failures_older_than_the_window_are_forgotten() -> None:
    breaker = Breaker(BreakerLimits())
    fail(breaker, 19, 0.5)
    assert breaker.counts == (19, 19)
    fail(breaker, 1, 10.1)
    assert breaker.state is State.CLOSED
    assert breaker.counts == (1, 1)


def test_failures_spread_over_the_window_count_together() -> None:
    breaker = Breaker(BreakerLimits())
    for second in range(10):
        fail(breaker, 2, float(second))
    assert breaker.state is State.OPEN


def test_an_open_breaker_lets_one_probe_through_after_a_second() -> None:
    breaker = opened(100.0)
    assert breaker.enter(100.99) is Permit.NO
    assert breaker.enter(101.0) is Permit.PROBE
    assert breaker.state is State.HALF_OPEN
    assert breaker.enter(101.0) is Permit.NO


def test_a_probe_that_succeeds_closes_it_with_a_clean_slate() -> None:
    breaker = opened(100.0)
    breaker.succeeded(breaker.enter(101.0), 101.1)
    assert breaker.state is State.CLOSED
    assert breaker.counts == (0, 0)
    assert breaker.enter(101.1) is Permit.CALL


def test_however_long_it_was_open_the_next_probe_is_a_second_away() -> None:
    breaker, now = opened(0.0), 0.0
    for _ in range(600):
        assert breaker.retry_at == now + 1.0
        now = breaker.retry_at
        breaker.failed(breaker.enter(now), now)
        assert breaker.state is State.OPEN
    breaker.succeeded(breaker.enter(601.0), 601.0)
    assert breaker.state is State.CLOSED


def test_a_slow_destination_is_asked_once_a_second_and_the_first_answer_in_time_closes_it() -> None:
    """Each probe waits for three seconds in vain; then the destination is quick again."""
    breaker = opened(0.0)
    under_way: list[tuple[float, Permit]] = []
    for tick in range(1, 1000):
        now = tick / 10
        while under_way and under_way[0][0] <= now:
            breaker.failed(under_way.pop(0)[1], now)
        permit = breaker.enter(now)
        if permit is Permit.PROBE:
            under_way.append((now + 3.0, permit))
        assert len(under_way) <= 4
        assert breaker.state is (State.HALF_OPEN if under_way else State.OPEN)
    late = [permit for _, permit in under_way]
    breaker.succeeded(breaker.enter(101.0), 101.0)
    assert breaker.state is State.CLOSED
    for permit in late:
        breaker.failed(permit, 102.0)
    assert (breaker.state, breaker.counts) == (State.CLOSED, (0, 0))


def test_after_it_closed_it_opens_as_it_did_the_first_time() -> None:
    breaker = opened(0.0)
    breaker.failed(breaker.enter(1.0), 1.0)
    breaker.succeeded(breaker.enter(2.0), 2.0)
    fail(breaker, 19, 3.5)
    assert breaker.state is State.CLOSED
    fail(breaker, 1, 3.5)
    assert (breaker.state, breaker.retry_at) == (State.OPEN, 4.5)


def test_an_abandoned_probe_is_followed_by_another_at_the_same_pace() -> None:
    breaker = opened(0.0)
    breaker.abandoned(breaker.enter(1.0))
    assert breaker.state is State.OPEN
    assert breaker.enter(1.9) is Permit.NO
    assert breaker.enter(2.0) is Permit.PROBE


def test_calls_from_before_it_opened_decide_nothing_afterwards() -> None:
    breaker = Breaker(BreakerLimits())
    early = [breaker.enter(0.0) for _ in range(40)]
    for permit in early[:20]:
        breaker.failed(permit, 0.1)
    probe = breaker.enter(1.1)
    breaker.succeeded(early[20], 1.2)
    assert breaker.state is State.HALF_OPEN
    breaker.failed(early[21], 1.2)
    assert (breaker.state, breaker.retry_at) == (State.HALF_OPEN, 2.1)
    breaker.succeeded(probe, 1.3)
    assert breaker.enter(1.3) is Permit.CALL


steps = st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["good", "bad", "abandoned"])), max_size=200)


@given(steps)
def test_it_agrees_with_a_model_that_keeps_every_call(history: list[tuple[float, str]]) -> None:
    """The model remembers all calls with their times; the breaker only ten pairs of counts."""
    breaker, now, calls = Breaker(BreakerLimits(calls=5)), 0.0, list[tuple[int, bool]]()
    for step, what in history:
        now += step
        state, retry_at, permit = breaker.state, breaker.retry_at, breaker.enter(now)
        if state is State.CLOSED:
            assert permit is Permit.CALL
        else:
            assert permit is (Permit.PROBE if now >= retry_at else Permit.NO)
        if permit is Permit.NO:
            continue
        if what == "abandoned":
            breaker.abandoned(permit)
            continue
        good = what == "good"
        (breaker.succeeded if good else breaker.failed)(permit, now)
        if permit is Permit.PROBE:
            calls.clear()
            assert breaker.state is (State.CLOSED if good else State.OPEN)
            continue
        calls.append((int(now), good))
        recent = [answer for second, answer in calls if second > int(now) - 10]
        should_open = not good and len(recent) >= 5 and recent.count(False) * 2 >= len(recent)
        assert breaker.state is (State.OPEN if should_open else State.CLOSED)
        if should_open:
            calls.clear()


@given(st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["failed", "abandoned", "nothing"])), max_size=80))
def test_two_probes_are_never_less_than_a_second_apart(history: list[tuple[float, str]]) -> None:
    breaker, now, before = opened(0.0), 0.0, 0.0
    for wait, what in history:
        now += wait
        permit = breaker.enter(now)
        if permit is Permit.NO:
            continue
        assert now - before >= 1.0 - 1e-9
        before = now
        if what == "failed":
            breaker.failed(permit, now)
        elif what == "abandoned":
            breaker.abandoned(permit)
