"""Whether a failed call is made again, and when."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How often, and how soon.

    more: further attempts of one call.
    share: retries per call, on average, of everything sent to one destination.
    reserve: most retries saved up for bad moments; start: how many a new process has.
    first, longest: seconds; the wait before attempt n is random between 0 and first * 2**n, at most longest.
    """

    more: int = 2
    share: float = 0.2
    reserve: float = 100.0
    start: float = 10.0
    first: float = 0.05
    longest: float = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of an attempt that brought no usable answer.

    sent: whether any byte of the request was written; if not, the callee can't have acted on it.
    elsewhere: another replica may be tried at once, for only this one was not reached.
    retry_after: seconds the callee asked to wait.
    settled: the callee's own call was retried already, or the answer says that a retry would not help.
    """

    sent: bool = True
    elsewhere: bool = False
    retry_after: float = 0.0
    settled: bool = False


def pause(
    failure: Failure, *, idempotent: bool, attempt: int, room: float, chance: float, limits: RetryLimits
) -> float | None:
    """Seconds to wait before the next attempt; None if there must be none. The budget is asked afterwards.

    attempt: how many were made, from 1. room: seconds to the deadline. chance: random, from 0 to 1.
    Full jitter, so that the callers of a failed replica don't come back all at once.
    """
    if attempt > limits.more or failure.settled or (failure.sent and not idempotent):
        return None
    if failure.elsewhere:
        return 0.0 if room > 0 else None
    wait = chance * min(limits.first * 2**attempt, limits.longest)
    # The callee knows best when it is ready; jitter on top, for it told others the same.
    wait += failure.retry_after
    return wait if wait < room else None


class Budget:
    """A token bucket that every call fills by `share` and every retry empties by one.

    So a destination that is down gets at most `share` more load from retries, beyond the reserve.
    """

    __slots__ = ("_limits", "_tokens")

    def __init__(self, limits: RetryLimits) -> None:
        self._limits = limits
        self._tokens = limits.start

    def called(self) -> None:
        """A call is made for the first time."""
        if self._tokens < self._limits.reserve:
            self._tokens += self._limits.share

    def take(self) -> bool:
        """Whether a retry is left; if so, it is spent."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
