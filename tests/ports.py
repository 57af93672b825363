"""Ports for what a test starts."""

import itertools
import os
import socket

# Below those of `atoll run`, and below those that Linux gives to whoever asks for any: another test's program would now
# and then be given one that was found here and is not listened on yet.
FIRST = 10_000
COUNT = 10_000
# Each process goes on from a place of its own.
_NEXT = itertools.count(os.getpid() * 499)


def free_port() -> int:
    """A port that nobody listens on, never twice in a row, and no one that another process of the tests is given."""
    return next(port for number in _NEXT if _is_free(port := FIRST + number % COUNT))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
