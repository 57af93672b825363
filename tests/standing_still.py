"""Processes that take what is sent to them, and do nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import until


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """No thread of the process runs while the block does. It may be killed in there."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # The signal is on its way to each thread, and a broker has time to answer once more.
        until(lambda: set(_states(pid)) == {"T"}, f"every thread of process {pid} stands still", every=0.001)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _states(pid: int) -> list[str]:
    """Of its threads; "T" for one that is stopped. Source: proc_pid_stat(5)."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(file.read_text().rpartition(")")[2].split()[0])
    return found
