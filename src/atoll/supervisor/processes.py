"""Which processes the machine runs, and an end for those of an earlier run that nobody waits for any more."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_LOOK_AGAIN = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """A process as the operating system shows it.

    group: the process that leads its group. title: its command line, or what it calls itself.
    started: tells it from another process that later gets the same number.
    """

    pid: int
    group: int
    started: str
    title: str


def identity(pid: int) -> str | None:
    """When the process started, as a text to be compared only; None if it is gone or a zombie."""
    if _PROC.joinpath("self/stat").exists():
        seen = _from_proc(pid, _boot())
        return seen.started if seen else None
    found = [each for each in _from_ps("-p", str(pid)) if each.pid == pid]
    return found[0].started if found else None


def processes() -> list[Seen]:
    """All that are alive; zombies are not."""
    if not _PROC.joinpath("self/stat").exists():
        return _from_ps("-ax")
    boot = _boot()
    found = (_from_proc(int(each.name), boot) for each in _PROC.iterdir() if each.name.isdigit())
    return [each for each in found if each]


async def end(pid: int, started: str, *, ask: str = "SIGTERM", grace: float = 5.0) -> bool:
    """End the group of a process that an earlier run started, which is no child of ours.

    started: what `identity` said of it then; a stranger with the same number is left alone.
    ask: the signal that asks; SIGKILL follows after `grace` seconds.
    Returns whether anything of it was alive. Raises PermissionError if it is another user's.
    """
    if identity(pid) not in {None, started}:
        return False
    return await end_all(lambda: [each.pid for each in processes() if each.group == pid], ask=ask, grace=grace)


async def end_all(remaining: Callable[[], list[int]], *, ask: str, grace: float) -> bool:
    """Send the signal to all that `remaining` finds, looking again for more; SIGKILL after `grace` seconds."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + grace
    asked: set[int] = set()
    while pids := remaining():
        late = loop.time() > limit
        for pid in pids:
            if late or pid not in asked:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.Signals[ask])
        asked.update(pids)
        await asyncio.sleep(_LOOK_AGAIN)
    return bool(asked)


def _boot() -> str:
    """Process numbers and start times begin anew with each boot."""
    return _PROC.joinpath("sys/kernel/random/boot_id").read_text().strip()


def _from_proc(pid: int, boot: str) -> Seen | None:
    try:
        stat = _PROC.joinpath(str(pid), "stat").read_text(errors="replace")
        title = _PROC.joinpath(str(pid), "cmdline").read_bytes()
    except OSError:
        return None
    return parse_stat(pid, stat, title, boot)


def parse_stat(pid: int, stat: str, title: bytes, boot: str) -> Seen | None:
    """From `/proc/PID/stat`, such as "7 (a (b) c) S 1 7 7 0 -1 … 4242 …", and `cmdline`; None for a zombie."""
    # The name may hold spaces and parentheses, so what follows its last one is counted: from field 3, the state.
    fields = stat.rpartition(")")[2].split()
    state, group, ticks = fields[0], int(fields[2]), fields[19]
    if state in "ZX":
        return None
    return Seen(pid, group, f"{boot}:{ticks}", title.replace(b"\0", b" ").decode(errors="replace").strip())


def _from_ps(*which: str) -> list[Seen]:
    command = ["/bin/ps", *which, "-o", "pid=,pgid=,stat=,lstart=,command="]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    return [seen for line in found.stdout.splitlines() if (seen := parse_ps(line))]


def parse_ps(line: str) -> Seen | None:
    """From a line such as " 612   612 Ss   Mon Nov 23 21:34:00 2026 /usr/bin/prog -x"; None for a zombie."""
    parts = line.split(None, 8)
    if len(parts) < 8 or parts[2].startswith("Z"):
        return None
    return Seen(int(parts[0]), int(parts[1]), " ".join(parts[3:8]), parts[8] if len(parts) > 8 else "")
