"""How much streams keep of events, for how long, and what a volume has room for."""

LEAST_BYTES = 4 * 2**20
"""An event may have a million, and a stream is rarely full to its last byte."""
LEAST_SECONDS = 300.0
"""Longer than a stream recognises what is published again."""
MOST_SECONDS = 10 * 365 * 86_400.0

DEAD_SECONDS = 30 * 86_400.0
DEAD_BYTES = 64 * 2**20
"""Of the dead letters of all topics together."""

_MARGIN = 86_400.0
_PERCENT = 80
"""Of a volume; the rest is for what streams write beside their messages, and for blocks that hold few any more."""


def unfit(kept_seconds: float, kept_bytes: int) -> str:
    """Why no topic can keep so much, or so long; "" if one can."""
    if not LEAST_SECONDS <= kept_seconds <= MOST_SECONDS:
        return f"kept_seconds is {kept_seconds:g}, it can be from {LEAST_SECONDS:g} to {MOST_SECONDS:.0f}"
    if kept_bytes < LEAST_BYTES:
        return f"kept_bytes is {kept_bytes:,}, it can be from {LEAST_BYTES:,}"
    return ""


def room(volume: int) -> int:
    """Bytes that streams may take of a volume of so many."""
    return volume * _PERCENT // 100


def volume_for(streams: int) -> int:
    """Bytes of the smallest volume that has room for so many."""
    return -(-streams * 100 // _PERCENT)


def remembered(kept_seconds: float) -> float:
    """Seconds that an inbox remembers events which their stream keeps for so long: a day longer."""
    return kept_seconds + _MARGIN
