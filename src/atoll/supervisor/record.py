"""What runs in a folder, written down: one run at a time, and the next one finds what a killed one left."""

import asyncio
import fcntl
import os
import shutil
import signal
from pathlib import Path
from typing import BinaryIO

import msgspec

from atoll.engines.engine import File
from atoll.errors import ALREADY_RUNNING
from atoll.supervisor import processes
from atoll.supervisor.home import Home
from atoll.supervisor.install import write
from atoll.supervisor.ports import Holding
from atoll.supervisor.process import Process
from atoll.supervisor.processes import identity

_GRACE = 5.0


class Child(msgspec.Struct, frozen=True):
    """A process that a run started. started: tells it from a later one with the same number."""

    name: str
    pid: int
    started: str
    ask: str = "SIGTERM"


def child_of(process: Process) -> Child:
    return Child(process.name, process.pid, process.started, process.command.stop_signal)


class RunRecord(msgspec.Struct, frozen=True):
    """run.json. target, folder: what was asked to run, and where. control: path of the control socket."""

    system: str
    pid: int
    started: str
    target: str
    folder: str
    control: str
    url: str = ""
    children: tuple[Child, ...] = ()


class Run:
    """The right to run a system in its folder, and at its ports, held until `release` or the end of this process."""

    def __init__(self, home: Home, record: RunRecord, lock: BinaryIO) -> None:
        self._file = home.state / "run.json"
        self._lock = lock
        self.record = record
        self.ports = Holding()

    @classmethod
    def take(cls, home: Home, record: RunRecord) -> "Run":
        """Raises ALREADY_RUNNING while another process holds it."""
        home.state.mkdir(parents=True, exist_ok=True)
        lock = (home.state / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            other = read_record(home.state)
            raise ALREADY_RUNNING.error(system=record.system, pid=other.pid if other else "unknown") from None
        return cls(home, record, lock)

    async def end_leftovers(self) -> list[str]:
        """End what a killed run left alive; the names of it."""
        before = read_record(self._file.parent)
        left = before.children if before else ()
        ended = await asyncio.gather(
            *(processes.end(each.pid, each.started, ask=each.ask, grace=_GRACE) for each in left)
        )
        return [each.name for each, was_alive in zip(left, ended, strict=True) if was_alive]

    def forget(self) -> None:
        """Remove everything that earlier runs kept here: data, passwords, logs, ports."""
        for each in self._file.parent.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            elif each.name != "lock":
                each.unlink()

    def write(self, children: tuple[Child, ...], url: str) -> None:
        """Keep on disk what runs now."""
        self.record = msgspec.structs.replace(self.record, children=children, url=url)
        write(File(self._file, msgspec.json.encode(self.record).decode()))

    def release(self) -> None:
        self.ports.release()
        self._file.unlink(missing_ok=True)
        self._lock.close()


def read_record(state: Path) -> RunRecord | None:
    """The last run in this state folder; it may be over, or killed."""
    try:
        return msgspec.json.decode((state / "run.json").read_bytes(), type=RunRecord)
    except (OSError, msgspec.DecodeError):
        return None


def is_alive(record: RunRecord) -> bool:
    return identity(record.pid) == record.started


def interrupt(record: RunRecord) -> None:
    """Ask the supervisor of a run to stop the system, as Ctrl-C does."""
    if is_alive(record):
        os.kill(record.pid, signal.SIGTERM)
