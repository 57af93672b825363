"""Engines started as the supervisor starts them, for tests that need one of their own."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from atoll.engines.engine import Engine
from atoll.supervisor.home import Home
from atoll.supervisor.install import make_folders, write_files
from atoll.supervisor.probe import until_ready
from atoll.supervisor.process import Process


@contextmanager
def open_home() -> Iterator[Home]:
    """A home below /tmp, not below pytest's folders: those are closed to the user that PostgreSQL runs as."""
    folder = Path(tempfile.mkdtemp(prefix="atoll-test-", dir="/tmp"))
    folder.chmod(0o755)
    home = Home(folder / "shop", folder / "system")
    make_folders(home)
    try:
        yield home
    finally:
        shutil.rmtree(folder)


async def start(engine: Engine, log: Path, on_line: Callable[[str], None] = lambda line: None) -> Process:
    """Start an engine and wait until it is ready."""
    write_files(engine)
    process = await Process.start(engine.name, engine.command, log, on_line)
    try:
        await until_ready(process, engine.readiness, within=20, on_waiting=lambda reason: None)
    except BaseException:
        await process.kill()
        raise
    return process


@asynccontextmanager
async def running(
    engine: Engine, log: Path, on_line: Callable[[str], None] = lambda line: None
) -> AsyncIterator[Process]:
    process = await start(engine, log, on_line)
    try:
        yield process
    finally:
        await process.stop()
