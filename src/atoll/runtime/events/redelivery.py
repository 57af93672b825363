"""What becomes of an event whose handler failed: another try after a while, or the dead letters."""

from dataclasses import dataclass

from atoll.errors import DatabaseUnreachable, Refused, Unreachable

_INNOCENT = (DatabaseUnreachable, Unreachable, Refused)
"""Failures that say nothing about the event: what its handler needs is away, and it did nothing."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to try again, and when to give up; seconds.

    attempts: tries of one event. first, most: the bounds of the wait before the second try and before any.
    patience: how long an event is tried while only what its handler needs is away; those tries are not counted.
    """

    attempts: int = 10
    first: float = 0.2
    most: float = 60.0
    patience: float = 3600.0


@dataclass(frozen=True, slots=True)
class Failure:
    """The latest failure of one event.

    tried: tries in this process that count, this one included if it does. deliveries: by the broker, from 1; more
    than one means that another process had the event, or that this one lost its connection.
    since: seconds from the first failure in this process. failures: in this process, counted or not.
    """

    error: BaseException
    tried: int
    deliveries: int
    since: float
    failures: int


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after this many seconds."""

    wait: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Put the event to the dead letters; `reason` says why."""

    reason: str


def counts(error: BaseException) -> bool:
    """Whether a failure with this error uses up a try."""
    return not isinstance(error, _INNOCENT)


def decide(failure: Failure, policy: Policy, chance: float) -> Again | GiveUp:
    """What to do after a failure. Touches nothing.

    chance: from 0 to 1, for the jitter; full, so that events that failed together do not return together.
    """
    attempts = failure.tried + failure.deliveries - 1
    if failure.tried and attempts >= policy.attempts:
        return GiveUp(f"failed {attempts} times, at last with {describe(failure.error)}")
    if failure.since >= policy.patience:
        return GiveUp(f"failed for {failure.since:.0f} s, at last with {describe(failure.error)}")
    # 2.0**1000 is fine, 2.0**2000 is an OverflowError.
    longest = min(policy.most, policy.first * 2.0 ** min(failure.failures - 1, 64))
    return Again(longest * chance)


def untouchable(deliveries: int, policy: Policy) -> GiveUp | None:
    """Whether an event has been delivered so often that it is not even tried: handling it ends the process.

    Twice the tries, for a process that dies takes innocent events with it.
    """
    if deliveries <= 2 * policy.attempts:
        return None
    return GiveUp(f"delivered {deliveries - 1} times without an answer: its handler may end the process")


def describe(error: BaseException) -> str:
    """An error in one line, at most 1,000 characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:1000] if text else type(error).__name__
