"""python -m atoll.runtime LAUNCH.json: one service process.

python -m atoll.runtime prepare PREPARATION.json ...: what services need before they start.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import uvloop

from atoll.errors import NO_LAUNCH, AtollError, Problem
from atoll.model.launch import Launch, Preparation
from atoll.model.references import Source, resolve
from atoll.runtime.host import Host
from atoll.runtime.telemetry.logs import configure


def reveal(source: Source) -> str:
    """The value behind a reference. Raises AtollError NO_LAUNCH where there is none."""
    try:
        return resolve(source, lambda path: Path(path).read_text().strip(), lambda variable: os.environ[variable])
    except (OSError, KeyError) as error:
        raise NO_LAUNCH.error(source=str(source), reason=f"its value can't be read: {error}") from error


def read_document(path: str, kind: type[Launch] | type[Preparation]) -> Launch | Preparation:
    """Raises AtollError NO_LAUNCH."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise NO_LAUNCH.error(source=path, reason=str(error)) from error


async def serve(launch: Launch) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    await Host(launch, reveal).run(stop)


async def prepare(paths: Sequence[str]) -> list[Problem]:
    documents = [read_document(path, Preparation) for path in paths]
    # asyncpg and nats are not for every process.
    module = importlib.import_module("atoll.runtime.prepare")
    problems: list[Problem] = await module.prepare(documents, reveal)
    return problems


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["prepare"]:
        try:
            problems: Sequence[Problem] = uvloop.run(prepare(arguments[1:]))
        except AtollError as error:
            problems = error.problems
        sys.stdout.write("".join(json.dumps({"problems": [asdict(problem)]}) + "\n" for problem in problems))
        return 1 if problems else 0
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        launch = read_document(arguments[0], Launch)
        assert isinstance(launch, Launch)
        configure(launch.telemetry.logs, launch.service, launch.replica)
        uvloop.run(serve(launch))
    except AtollError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
