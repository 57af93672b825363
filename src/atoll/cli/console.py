"""Where text goes."""

import sys

from rich.console import Console

_WIDE = 240


def console() -> Console:
    """As wide as the terminal; wide enough for any table where the output is none, for programs and pagers.

    A text is printed as it is: neither what stands in brackets nor what stands between colons means anything.
    """
    return Console(
        highlight=False, markup=False, emoji=False, soft_wrap=False, width=None if sys.stdout.isatty() else _WIDE
    )
