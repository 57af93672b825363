"""What becomes of an event whose handler failed."""

import pytest

from atoll.errors import DatabaseUnreachable, Unreachable
from atoll.runtime.events.redelivery import Again, Failure, GiveUp, Policy, counts, decide, untouchable

POLICY = Policy(attempts=10, first=0.2, most=60.0)


def failure(
    failures: int,
    *,
    deliveries: int = 1,
    tried: int | None = None,
    since: float = 0.0,
    error: BaseException | None = None,
) -> Failure:
    tried = failures if tried is None else tried
    return Failure(error or ValueError("no"), tried, deliveries, since, failures)


def test_the_wait_doubles_from_the_first_to_the_most() -> None:
    patient = Policy(attempts=99, first=0.2, most=60.0)
    waits = [decide(failure(count), patient, chance=1.0) for count in (1, 2, 3, 9, 10, 90)]
    assert waits == [Again(0.2), Again(0.4), Again(0.8), Again(51.2), Again(60.0), Again(60.0)]


def test_the_jitter_is_full() -> None:
    assert decide(failure(3), POLICY, chance=0.0) == Again(0.0)
    assert decide(failure(3), POLICY, chance=0.5) == Again(0.4)


def test_after_the_last_attempt_the_reason_names_the_error() -> None:
    assert isinstance(decide(failure(9), POLICY, chance=1.0), Again)
    assert decide(failure(10), POLICY, chance=1.0) == GiveUp("failed 10 times, at last with ValueError: no")


def test_deliveries_to_other_processes_are_attempts_too() -> None:
    assert isinstance(decide(failure(1, deliveries=9), POLICY, chance=1.0), Again)
    assert isinstance(decide(failure(1, deliveries=10), POLICY, chance=1.0), GiveUp)


@pytest.mark.parametrize("error", [DatabaseUnreachable(), Unreachable("payment", "charge", "no replica")])
def test_a_try_in_vain_because_something_is_away_does_not_count(error: Exception) -> None:
    assert not counts(error)
    away = failure(50, tried=0, deliveries=50, since=3599.0, error=error)
    assert decide(away, POLICY, chance=1.0) == Again(60.0)


def test_but_not_for_ever() -> None:
    away = failure(90, tried=0, since=3600.0, error=DatabaseUnreachable())
    assert decide(away, POLICY, chance=1.0) == GiveUp("failed for 3600 s, at last with DatabaseUnreachable")


def test_an_event_that_ends_its_process_again_and_again_is_not_tried_any_more() -> None:
    assert untouchable(20, POLICY) is None
    assert untouchable(21, POLICY) == GiveUp("delivered 20 times without an answer: its handler may end the process")
