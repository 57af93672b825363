"""Breakers, as a page of figures tells of them."""

from atoll.runtime.resilience.breaker import State
from atoll.runtime.telemetry.metrics import Metrics
from atoll.wire.breakers import breakers


def test_breakers_that_are_not_closed_are_told_by_destination() -> None:
    metrics = Metrics()
    for destination, state in (("cart", State.CLOSED), ("payment", State.OPEN), ("users", State.HALF_OPEN)):
        gauge = metrics.gauge("atoll.client.breaker", "0 is closed, 1 half-open, 2 open.", {"destination": destination})
        gauge.set(state)
    assert breakers(metrics.render()) == {"payment": "open", "users": "half-open"}
