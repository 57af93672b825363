"""Makes ready what services find when they start: databases, roles, tables, streams, consumers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from atoll.engines.engine import File
from atoll.engines.postgres import Server
from atoll.errors import AtollError, Problem
from atoll.model.migrations import checksum
from atoll.supervisor import children
from atoll.supervisor.children import Python
from atoll.supervisor.install import write
from atoll.supervisor.plan import Plan
from atoll.supervisor.process import Spawn
from atoll.supervisor.resolve import create_databases


async def prepare(
    plan: Plan, services: Sequence[str], server: Server | None, python: Python, spawn: Spawn
) -> dict[str, tuple[Problem | str, ...]]:
    """By service what went wrong, () for what did not.

    server: our own PostgreSQL; None if there is none, or it is somewhere else.
    """
    try:
        if any(service in plan.databases for service in services):
            await create_databases(plan, server)
    except AtollError as error:
        return dict.fromkeys(services, error.problems)
    documents = [_write(plan, service) for service in services]
    problems, failure = await children.prepare(python, documents, Path(plan.description.folder), spawn)
    outcome: dict[str, tuple[Problem | str, ...]] = dict.fromkeys(services, (failure,) if failure else ())
    for problem in problems:
        for service in owners(problem, services):
            outcome[service] = (*outcome[service], problem)
    _remember(plan, [service for service, wrong in outcome.items() if not wrong])
    return outcome


def owners(problem: Problem, services: Sequence[str]) -> Sequence[str]:
    """Whose problem it is: sentences about a service begin with its name; any other concerns all."""
    return [each for each in services if problem.sentence.startswith((f"{each} ", f"{each}:"))] or services


def _write(plan: Plan, service: str) -> Path:
    path = plan.home.state / "launch" / f"{service}.prepare.json"
    write(File(path, msgspec.json.format(msgspec.json.encode(plan.preparations[service])).decode() + "\n"))
    return path


def _remember(plan: Plan, services: Sequence[str]) -> None:
    """Which migrations were applied here, so that `check` sees when one of them is edited."""
    file = plan.home.state / "applied.json"
    applied: dict[str, Mapping[str, str]] = {}
    if file.is_file():
        applied = msgspec.json.decode(file.read_bytes(), type=dict[str, Mapping[str, str]])
    for service in services:
        folder = plan.preparations[service].migrations
        if folder:
            applied[service] = {each.name: checksum(each.read_bytes()) for each in sorted(Path(folder).glob("*.sql"))}
    write(File(file, msgspec.json.format(msgspec.json.encode(applied)).decode() + "\n"))
