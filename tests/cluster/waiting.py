"""Waiting for what other processes bring about."""

import time
from collections.abc import Callable


class NotInTime(Exception):
    """What was waited for did not happen, with what is known of the reason."""


def until(
    happened: Callable[[], bool], what: str, *, within: float, every: float = 0.02, why: Callable[[], str] = str
) -> float:
    """Wait until something is so; returns the seconds it took.

    within, every: seconds. why: asked for the reason when it was not.
    """
    begun = time.monotonic()
    while not happened():
        if time.monotonic() - begun > within:
            raise NotInTime(f"not within {within:g} s: {what}\n{why()}".rstrip())
        time.sleep(every)
    return time.monotonic() - begun
