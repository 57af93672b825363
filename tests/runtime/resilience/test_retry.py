"""Whether and when a failed call is made again."""

from hypothesis import given
from hypothesis import strategies as st

from atoll.runtime.resilience.retry import Budget, Failure, RetryLimits, pause

LIMITS = RetryLimits()


def ask(
    failure: Failure, *, idempotent: bool = True, attempt: int = 1, room: float = 3.0, chance: float = 0.5
) -> float | None:
    return pause(failure, idempotent=idempotent, attempt=attempt, room=room, chance=chance, limits=LIMITS)


def test_an_idempotent_call_without_an_answer_is_made_twice_more_at_most() -> None:
    assert ask(Failure(), attempt=1) is not None
    assert ask(Failure(), attempt=2) is not None
    assert ask(Failure(), attempt=3) is None


def test_a_call_that_is_not_idempotent_is_not_made_again_once_a_byte_was_sent() -> None:
    assert ask(Failure(sent=True), idempotent=False) is None


def test_a_call_of_which_no_byte_was_sent_may_always_be_made_again() -> None:
    assert ask(Failure(sent=False), idempotent=False) is not None


def test_what_was_retried_already_is_not_retried_above() -> None:
    assert ask(Failure(settled=True)) is None


def test_another_replica_is_tried_at_once() -> None:
    assert ask(Failure(sent=False, elsewhere=True), chance=1.0) == 0.0


def test_nothing_is_retried_after_the_deadline() -> None:
    assert ask(Failure(sent=False, elsewhere=True), room=0.0) is None
    assert ask(Failure(), room=0.0, chance=0.0) is None


def test_the_callee_says_how_long_to_wait() -> None:
    wait = ask(Failure(retry_after=1.0), chance=0.5)
    assert wait is not None
    assert 1.0 < wait < 1.1


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    assert ask(Failure(retry_after=3.0), room=2.9) is None


@given(st.integers(1, 2), st.floats(0, 1), st.floats(0.001, 10))
def test_waits_are_random_up_to_a_bound_that_doubles(attempt: int, chance: float, room: float) -> None:
    wait = ask(Failure(), attempt=attempt, chance=chance, room=room)
    if wait is not None:
        assert 0 <= wait <= 0.05 * 2**attempt
        assert wait < room


@given(st.lists(st.integers(0, 20), max_size=300))
def test_retries_never_exceed_their_share_of_calls_beyond_the_reserve(storm: list[int]) -> None:
    """Every call asks for some retries; whatever the order, the bucket holds."""
    budget, granted = Budget(LIMITS), 0
    for calls, wanted in enumerate(storm, start=1):
        budget.called()
        granted += sum(budget.take() for _ in range(wanted))
        assert granted <= 0.2 * calls + LIMITS.start + 1e-6


def test_a_quiet_hour_saves_no_more_than_the_reserve() -> None:
    budget = Budget(LIMITS)
    for _ in range(10_000):
        budget.called()
    assert sum(budget.take() for _ in range(1000)) == LIMITS.reserve
