"""What is answered when a handler raises."""

from collections.abc import Sequence
from dataclasses import dataclass

from atoll.errors import CallFailed, CircuitOpen, DatabaseUnreachable, DeadlineExceeded, QueryTimeout
from atoll.runtime.faults import Injected
from atoll.runtime.idempotency import KeyRefused
from atoll.runtime.refusals import (
    DATABASE_UNREACHABLE,
    DEADLINE_EXCEEDED,
    DEPENDENCY_FAILED,
    DEPENDENCY_LATE,
    INJECTED,
    INTERNAL,
    Refusal,
)
from atoll.wire.headers import RETRIED, RETRY_AFTER

_RETRIED = ((RETRIED, "1"),)


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer instead of the handler's.

    bug: it is nobody's fault but the code's, so the log gets the traceback.
    told: who is nearer to the cause has a line in its log, or the breaker has; one more for each request that fails
    because of it would say nothing new, and cost as much as the request.
    """

    refusal: Refusal
    headers: Sequence[tuple[str, str]] = ()
    bug: bool = False
    told: bool = False


def failure_of(error: Exception) -> Failure:
    """What the caller is told; never what only we should know."""
    if isinstance(error, KeyRefused):
        title = "The Idempotency-Key can't be used"
        headers = ((RETRY_AFTER, "1"),) if error.status in (409, 503) else ()
        return Failure(Refusal(error.status, "key-refused", title, error.problems[0].sentence), headers)
    if isinstance(error, DeadlineExceeded):
        return Failure(DEPENDENCY_LATE, _RETRIED, told=error.below)
    if isinstance(error, CallFailed):
        return Failure(DEPENDENCY_FAILED, _RETRIED, told=error.below or isinstance(error, CircuitOpen))
    if isinstance(error, DatabaseUnreachable):
        # A 503 without the header would say that nothing has been done, which nobody knows.
        return Failure(DATABASE_UNREACHABLE, _RETRIED)
    if isinstance(error, QueryTimeout):
        return Failure(DEADLINE_EXCEEDED, _RETRIED)
    if isinstance(error, Injected):
        return Failure(INJECTED)
    return Failure(INTERNAL, bug=True)
