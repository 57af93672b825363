"""python -m atoll.runtime LAUNCH.json: one service process.

python -m atoll.runtime prepare PREPARATION.json ...: what services need before they start.
python -m atoll.runtime prepared PREPARATION.json: wait until that is there.
python -m atoll.runtime setup SETUP.json: what a namespace of a cluster needs once.
python -m atoll.runtime figures FIGURES.json: a page with the figures of engines.
"""

import asyncio
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from atoll.errors import (
    BAD_MIGRATION_NAME,
    MIGRATION_EDITED,
    MIGRATION_FAILED,
    MIGRATION_STOPPED,
    MIGRATION_UNFIT,
    NO_LAUNCH,
    AtollError,
    Problem,
)
from atoll.model.figures import FiguresOf
from atoll.model.launch import Launch, Preparation
from atoll.model.references import Source, resolve
from atoll.model.setup import Setup
from atoll.runtime.host import Host
from atoll.runtime.telemetry.destination import destination
from atoll.runtime.telemetry.logs import configure
from atoll.runtime.telemetry.shipping import Lines, Shipping

UNFIT = 3
FINAL = frozenset(
    each.code for each in (MIGRATION_FAILED, MIGRATION_STOPPED, MIGRATION_UNFIT, MIGRATION_EDITED, BAD_MIGRATION_NAME)
)
Document = TypeVar("Document", Launch, Preparation, Setup, FiguresOf)


def reveal(source: Source) -> str:
    """The value behind a reference. Raises AtollError NO_LAUNCH where there is none."""
    try:
        return resolve(source, lambda path: Path(path).read_text().strip(), lambda variable: os.environ[variable])
    except (OSError, KeyError) as error:
        raise NO_LAUNCH.error(source=str(source), reason=f"its value can't be read: {error}") from error


def read_document(path: str, kind: type[Document]) -> Document:
    """Raises AtollError NO_LAUNCH."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise NO_LAUNCH.error(source=path, reason=str(error)) from error


async def serve(launch: Launch, lines: Lines | None) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    await Host(launch, reveal, lines).run(stop)


async def prepare(paths: Sequence[str]) -> list[Problem]:
    documents = [read_document(path, Preparation) for path in paths]
    # asyncpg and nats are not for every process.
    module = importlib.import_module("atoll.runtime.prepare")
    problems: list[Problem] = await module.prepare(documents, reveal)
    return problems


async def wait(path: str) -> None:
    document = read_document(path, Preparation)
    module = importlib.import_module("atoll.runtime.preparation")
    await module.wait_until_prepared(document, reveal, _say)


async def set_up(path: str) -> None:
    document = read_document(path, Setup)
    module = importlib.import_module("atoll.runtime.setup")
    if document.kept == "variables":
        await module.set_up(document, module.Variables(os.environ), _say)
        return
    api = importlib.import_module("atoll.runtime.api_server")
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    await module.set_up(document, api.InCluster(address, document.namespace), _say)


async def show_figures(path: str) -> None:
    document = read_document(path, FiguresOf)
    module = importlib.import_module("atoll.runtime.figures")
    await module.serve(document, reveal)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run_service(path: str) -> None:
    launch = read_document(path, Launch)
    if not launch.replica:
        launch = msgspec.structs.replace(launch, replica=socket.gethostname())
    launch = msgspec.structs.replace(launch, telemetry=destination(launch.telemetry, os.environ))
    shipping = Shipping() if launch.telemetry.sends_logs else None
    configure(launch.telemetry.logs, launch.service, launch.replica, also=shipping)
    uvloop.run(serve(launch, shipping.lines if shipping else None))


def run_preparation(paths: Sequence[str]) -> int:
    """What is wrong is told in JSON, one problem a line, and by the exit status: 1 may be tried again, 3 may not."""
    try:
        problems: Sequence[Problem] = uvloop.run(prepare(paths))
    except AtollError as error:
        problems = error.problems
    sys.stdout.write("".join(json.dumps({"problems": [asdict(problem)]}) + "\n" for problem in problems))
    return UNFIT if any(each.code in FINAL for each in problems) else 1 if problems else 0


def _end_when_told() -> None:
    """The first process of a container gets no signal that it does not ask for."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def main(arguments: Sequence[str]) -> int:
    _end_when_told()
    try:
        match list(arguments):
            case ["prepare", *paths]:
                return run_preparation(paths)
            case ["prepared", path]:
                uvloop.run(wait(path))
            case ["setup", path]:
                uvloop.run(set_up(path))
            case ["figures", path]:
                uvloop.run(show_figures(path))
            case [path]:
                run_service(path)
            case _:
                sys.stderr.write(f"{__doc__}\n")
                return 2
    except (AtollError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
