"""Contenders as processes, pinned to a core, and what they cost."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
SERVER_CORE, LOAD_CORE = 0, (os.cpu_count() or 1) - 1
READY_WITHIN = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pinned(core: int) -> list[str]:
    """What to put in front of a command so that it stays on one core; nothing where there is no taskset."""
    return ["taskset", "-c", str(core)] if Path("/usr/bin/taskset").exists() else []


@contextlib.contextmanager
def server(command: Sequence[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[psutil.Process]:
    """The command as a process on the servers' core, from the moment its port answers until the end of the block."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    process = subprocess.Popen(
        [*pinned(SERVER_CORE), *command], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        wait_for(port, process)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the port takes connections. Raises RuntimeError with what the process said if it ended instead."""
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        if process.poll() is not None:
            said = process.stderr.read().decode() if process.stderr else ""
            raise RuntimeError(f"the server ended with {process.returncode}: {said}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise RuntimeError(f"port {port} did not answer within {READY_WITHIN:g} s")


def cpu_seconds(process: psutil.Process) -> float:
    """Of the process and its children, so far."""
    family = [process, *process.children(recursive=True)]
    return sum(times.user + times.system for times in (member.cpu_times() for member in family))


def python(*words: str) -> list[str]:
    return [sys.executable, *words]
