"""Names that someone may have meant."""

import difflib
from collections.abc import Iterable


def nearest(wanted: str, existing: Iterable[str], most: int = 5) -> tuple[str, ...]:
    """The existing names, the most similar first; at most `most`, and how many more there are."""
    names = sorted(set(existing))
    close = difflib.get_close_matches(wanted, names, n=most, cutoff=0.5)
    found = close + [name for name in names if name not in close]
    more = len(found) - most
    return (*found[:most], *([f"and {more} more"] if more > 0 else []))
