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

from atoll.errors import IMPORT_FAILED, Problem
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


async def describe(python: Python, target: str, folder: Path) -> Description:
    """The system at the target, read by a child; if the child dies, a description with nothing but a problem."""
    module = "atoll.runtime.describe"
    found = await _run(python, ["-m", module, target, "--folder", str(folder)], folder)
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(found.output, type=Description)
    reason = f"the process that read it ended with {found.status}"
    problem = IMPORT_FAILED.at(module=target, reason=reason, detail=found.errors.strip())
    return Description(name="", folder=str(folder), import_path=(), target=target, problems=(data_of(problem),))


async def prepare(python: Python, documents: Sequence[Path], folder: Path) -> tuple[list[Problem], str]:
    """Run migrations and make tables, streams and consumers, of the services with these documents.

    Returns the problems, and what else the child said if it failed without naming any.
    """
    found = await _run(python, ["-m", "atoll.runtime", "prepare", *map(str, documents)], folder)
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


async def _run(python: Python, arguments: Sequence[str], folder: Path) -> Output:
    """Run to the end, at most a minute; ended with all its children if we are cancelled."""
    process = await asyncio.create_subprocess_exec(
        python.program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=dict(python.variables),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            output, errors = await process.communicate()
    except TimeoutError:
        _kill(process)
        await process.wait()
        return Output(1, b"", f"it did not end within {_PATIENCE:.0f} s")
    except asyncio.CancelledError:
        _kill(process)
        await process.wait()
        raise
    return Output(process.returncode or 0, output, errors.decode(errors="replace"))


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
