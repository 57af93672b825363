"""The order of the protections of one destination."""

import pytest

from atoll.errors import CircuitOpen, Refused
from atoll.runtime.resilience.breaker import State
from atoll.runtime.resilience.policy import Guard, Policy
from atoll.runtime.resilience.retry import Failure, RetryLimits


def broken(guard: Guard, now: float) -> None:
    for _ in range(20):
        guard.leave(guard.enter("product", now), good=False, now=now)


def test_calls_beyond_the_bulkhead_are_refused_and_may_be_made_again() -> None:
    guard = Guard("catalog", Policy(concurrency=2))
    first = guard.enter("product", 0.0)
    guard.enter("product", 0.0)
    with pytest.raises(Refused, match="2 calls to catalog are under way") as caught:
        guard.enter("product", 0.0)
    assert not caught.value.may_have_happened
    guard.leave(first, good=True, now=0.0)
    guard.enter("product", 0.0)


def test_an_open_breaker_refuses_and_says_when_it_tries_again() -> None:
    guard = Guard("catalog", Policy())
    broken(guard, 0.0)
    with pytest.raises(CircuitOpen, match=r"tries catalog again in 0\.8 s") as caught:
        guard.enter("product", 0.2)
    assert not caught.value.may_have_happened


def test_a_half_open_breaker_refuses_and_says_that_a_call_is_trying() -> None:
    guard = Guard("catalog", Policy())
    broken(guard, 0.0)
    guard.enter("product", 1.1)
    with pytest.raises(CircuitOpen, match="half-open; one call tries catalog now"):
        guard.enter("product", 1.2)


def test_a_call_refused_by_the_breaker_takes_no_place_in_the_bulkhead() -> None:
    guard = Guard("catalog", Policy(concurrency=1))
    broken(guard, 0.0)
    for _ in range(5):
        with pytest.raises(CircuitOpen):
            guard.enter("product", 0.5)
    assert guard.bulkhead.under_way == 0


def test_a_call_refused_by_the_bulkhead_is_no_failure_of_the_destination() -> None:
    guard = Guard("catalog", Policy(concurrency=1))
    guard.enter("product", 0.0)
    for _ in range(50):
        with pytest.raises(Refused):
            guard.enter("product", 0.0)
    assert guard.breaker.state is State.CLOSED


def test_nothing_is_retried_while_the_breaker_is_not_closed() -> None:
    guard = Guard("catalog", Policy())
    early = guard.enter("product", 0.0)
    broken(guard, 0.0)
    assert guard.again(Failure(), early, idempotent=True, attempt=1, room=3.0, chance=0.5) is None


def test_a_probe_asks_once_but_looks_for_a_replica_that_takes_it() -> None:
    guard = Guard("catalog", Policy(retry=RetryLimits(start=0.0, share=0.0)))
    broken(guard, 0.0)
    probe = guard.enter("product", 1.0)
    for asked in (Failure(), Failure(retry_after=0.1)):
        assert guard.again(asked, probe, idempotent=True, attempt=1, room=3.0, chance=0.5) is None
    refused = Failure(sent=False)
    assert guard.again(refused, probe, idempotent=False, attempt=2, room=3.0, chance=0.5) is not None
    assert guard.again(refused, probe, idempotent=False, attempt=3, room=3.0, chance=0.5) is None


def test_a_call_that_may_not_be_retried_costs_nothing_of_the_budget() -> None:
    guard = Guard("catalog", Policy(retry=RetryLimits(start=1.0, share=0.0)))
    permit = guard.enter("product", 0.0)
    assert guard.again(Failure(), permit, idempotent=False, attempt=1, room=3.0, chance=0.5) is None
    assert guard.again(Failure(), permit, idempotent=True, attempt=1, room=3.0, chance=0.5) is not None
    assert guard.again(Failure(), permit, idempotent=True, attempt=1, room=3.0, chance=0.5) is None
