"""The short-lived processes that load user code for the supervisor, which never does."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from atoll.engines.engine import Command
from atoll.errors import IMPORT_FAILED, Problem
from atoll.supervisor.process import Spawn, execute
from atoll.wire.description import Description, ProblemData

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Python:
    """The interpreter of the services, and the variables of the shell that started us."""

    variables: Mapping[str, str]
    program: str = sys.executable


@dataclass(frozen=True, slots=True)
class Output:
    status: int
    output: bytes
    errors: str


class _Problems(msgspec.Struct, frozen=True):
    """A line of what `prepare` prints."""

    problems: tuple[ProblemData, ...] = ()


async def describe(python: Python, target: str, folder: Path, spawn: Spawn = execute) -> Description:
    """The system at the target, read by a child; if the child dies, a description with nothing but a problem."""
    module = "atoll.runtime.describe"
    found = await _run(python, ["-m", module, target, "--folder", str(folder)], folder, spawn)
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(found.output, type=Description)
    reason = f"the process that read it ended with {found.status}"
    problem = IMPORT_FAILED.at(module=target, reason=reason, detail=found.errors.strip())
    return Description(name="", folder=str(folder), import_path=(), target=target, problems=(data_of(problem),))


async def prepare(
    python: Python, documents: Sequence[Path], folder: Path, spawn: Spawn = execute
) -> tuple[list[Problem], str]:
    """Run migrations and make tables, streams and consumers, of the services with these documents.

    Returns the problems, and what else the child said if it failed without naming any.
    """
    found = await _run(python, ["-m", "atoll.runtime", "prepare", *map(str, documents)], folder, spawn)
    problems: list[Problem] = []
    for line in found.output.splitlines():
        with suppress(msgspec.DecodeError):
            problems += map(problem_of, msgspec.json.decode(line, type=_Problems).problems)
    failed = bool(found.status) and not problems
    return problems, (found.errors.strip() or f"ended with {found.status}") if failed else ""


def problem_of(data: ProblemData) -> Problem:
    return Problem(data.code, data.sentence, data.place, data.has, data.do, data.detail)


def data_of(problem: Problem) -> ProblemData:
    return ProblemData(problem.code, problem.sentence, problem.place, problem.has, problem.do, problem.detail)


async def _run(python: Python, arguments: Sequence[str], folder: Path, spawn: Spawn) -> Output:
    """Run to the end, at most a minute; ended with all its children if we are cancelled."""
    command = Command((python.program, *arguments), environment=python.variables, directory=folder)
    output, writing_output = os.pipe()
    errors, writing_errors = os.pipe()
    try:
        child = await spawn(command, writing_output, writing_errors)
    except BaseException:
        os.close(output)
        os.close(errors)
        raise
    finally:
        os.close(writing_output)
        os.close(writing_errors)
    reading = asyncio.gather(_read(output), _read(errors))
    try:
        async with asyncio.timeout(_PATIENCE):
            said, complained = await reading
            code = await child.wait()
    except TimeoutError:
        return Output(1, b"", f"it did not end within {_PATIENCE:.0f} s")
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return Output(code, said, complained.decode(errors="replace"))


async def _read(descriptor: int) -> bytes:
    """All that comes through a pipe, until its other end is closed."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        return await reader.read()
    finally:
        transport.close()
