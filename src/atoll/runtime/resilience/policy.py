"""The protections of one destination, in their order."""

from dataclasses import dataclass, field

from atoll.errors import CircuitOpen, Refused
from atoll.runtime.resilience.breaker import CALL, CLOSED, HALF_OPEN, NO, PROBE, Breaker, BreakerLimits, Permit
from atoll.runtime.resilience.bulkhead import Bulkhead
from atoll.runtime.resilience.retry import Budget, Failure, RetryLimits, pause


@dataclass(frozen=True, slots=True)
class Policy:
    """How calls to one destination are protected; the defaults are right for most.

    deadline: seconds for a call whose caller set none; a shorter one of the caller holds.
    connect: most seconds for opening a connection, so that a silent replica leaves time to try another.
    idle: seconds without a byte after which a stream is given up.
    concurrency: calls under way at once.
    answer: most bytes of an answer, head and body.
    """

    deadline: float = 3.0
    connect: float = 1.0
    idle: float = 30.0
    concurrency: int = 256
    answer: int = 16_777_216
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    retry: RetryLimits = field(default_factory=RetryLimits)


class Guard:
    """A call passes the bulkhead, then the breaker; each further attempt passes the breaker, then the retry budget.

    The bulkhead comes first, for what it refuses says nothing about the destination. The breaker judges calls, not
    attempts: a call saved by another replica is a success, so one dead replica among many does not open it.
    Pure: `now` is in seconds of any one monotonic clock.
    """

    __slots__ = ("_budget", "_limits", "_service", "breaker", "bulkhead")

    def __init__(self, service: str, policy: Policy) -> None:
        self._service = service
        self._limits = policy.retry
        self._budget = Budget(policy.retry)
        self.breaker = Breaker(policy.breaker)
        self.bulkhead = Bulkhead(policy.concurrency)

    def enter(self, operation: str, now: float) -> Permit:
        """A call begins; `leave` must follow once.

        Raises Refused when too many are under way, CircuitOpen when the breaker is open: nothing is to be sent then.
        """
        if not self.bulkhead.enter():
            reason = f"{self.bulkhead.limit} calls to {self._service} are under way here, no more are let through"
            raise Refused(self._service, operation, reason)
        permit = CALL if self.breaker.state is CLOSED else self.breaker.enter(now)
        if permit is NO:
            self.bulkhead.leave()
            raise CircuitOpen(self._service, operation, f"the circuit breaker is {self._when(now)}")
        self._budget.called()
        return permit

    def _when(self, now: float) -> str:
        if self.breaker.state is HALF_OPEN:
            return f"half-open; one call tries {self._service} now"
        return f"open; it tries {self._service} again in {max(self.breaker.retry_at - now, 0.0):.1f} s"

    def leave(self, permit: Permit, good: bool | None, now: float) -> None:
        """The call is over. good: what it says of the destination; None if nothing."""
        self.bulkhead.leave()
        if good:
            self.breaker.succeeded(permit, now)
        else:
            self.judge(permit, good, now)

    def judge(self, permit: Permit, good: bool | None, now: float) -> None:
        """Say early what `leave` would say at the end: a stream may last for hours, and a probe must not wait."""
        if good is None:
            self.breaker.abandoned(permit)
        elif good:
            self.breaker.succeeded(permit, now)
        else:
            self.breaker.failed(permit, now)

    def again(
        self, failure: Failure, permit: Permit, *, idempotent: bool, attempt: int, room: float, chance: float
    ) -> float | None:
        """Seconds to wait before a further attempt; None if there is to be none.

        attempt: how many were made, from 1. room: seconds to the deadline. chance: random, from 0 to 1.
        """
        if permit is PROBE:
            # It asks one question; but where no byte was sent none was asked, and another replica may be there.
            if failure.sent:
                return None
        elif self.breaker.state is not CLOSED:
            # What opened meanwhile is not to be asked again.
            return None
        wait = pause(failure, idempotent=idempotent, attempt=attempt, room=room, chance=chance, limits=self._limits)
        if wait is None or not (permit is PROBE or self._budget.take()):
            return None
        return wait
