"""Is it ready yet, and if not, why: the checks of a readiness, made until one succeeds."""

import asyncio
import http
from collections.abc import Callable
from pathlib import Path

from atoll.engines.engine import Check, HttpGet, Readiness, TcpPort
from atoll.errors import ENGINE_FAILED
from atoll.provision.http import ask
from atoll.supervisor.process import Process

LEAVING = "told to end, and waiting for its clients to go"
"""Of an engine that takes no new ones, and ends when the last has gone."""

_PATIENCE = 2.0
_LOOK_AGAIN = 0.01


async def probe(readiness: Readiness) -> str:
    """Ask once, within 2 s. Returns "" if it is ready, otherwise what it waits for, such as "refusing connections"."""
    try:
        async with asyncio.timeout(_PATIENCE):
            match readiness:
                case TcpPort():
                    return await _connect(readiness)
                case HttpGet():
                    return await _get(readiness)
                case Check():
                    return await _check(readiness)
    except TimeoutError:
        return "not answering"
    except (ConnectionRefusedError, FileNotFoundError):
        return "refusing connections"
    except OSError as error:
        return f"closing connections: {error}"


async def until_ready(
    process: Process, readiness: Readiness, *, within: float = 60.0, on_waiting: Callable[[str], None]
) -> None:
    """Until an engine's process is ready.

    within: seconds. on_waiting: called with each new reason for waiting.
    Raises ENGINE_FAILED as soon as the process ends, or when the time is over; the process is left as it is.
    """
    ended = asyncio.create_task(process.wait())
    reason = ""
    try:
        async with asyncio.timeout(within):
            while now := await probe(readiness):
                if now != reason:
                    reason = now
                    on_waiting(reason)
                if (await asyncio.wait([ended], timeout=_LOOK_AGAIN))[0]:
                    break
        if ended.done():
            # Something else that listens on its port may have answered instead.
            raise ENGINE_FAILED.error(engine=process.name, reason=str(ended.result()), log=process.log)
    except TimeoutError:
        raise ENGINE_FAILED.error(
            engine=process.name, reason=f"after {within:g} s it is still {reason}", log=process.log
        ) from None
    finally:
        ended.cancel()


async def _connect(readiness: TcpPort) -> str:
    _, writer = await asyncio.open_connection(readiness.host, readiness.port)
    writer.close()
    return ""


async def _get(readiness: HttpGet) -> str:
    status = (await ask(readiness)).status
    return "" if status == http.HTTPStatus.OK else f"answering {status}"


async def _check(readiness: Check) -> str:
    command = readiness.command
    process = await asyncio.create_subprocess_exec(
        *command.arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(command.environment),
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode == 0:
        return ""
    if readiness.lock is not None and _is_stopping(Path(readiness.lock)):
        return LEAVING
    # Such as: 127.0.0.1:5432 - rejecting connections
    said = output.decode(errors="replace").strip().splitlines()
    return said[-1].rpartition(" - ")[2] if said else f"failing its check ({process.returncode})"


def _is_stopping(lock: Path) -> bool:
    # Source: PostgreSQL's pidfile.h, LOCK_FILE_LINE_PM_STATUS.
    try:
        return lock.read_text().splitlines()[-1:] == ["stopping"]
    except OSError:
        return False
