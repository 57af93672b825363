"""Reads the user's code, in a process of its own, and prints the system as data.

python -m atoll.runtime.describe TARGET --folder FOLDER [--environment NAME]

Whoever lives long, the command line or the supervisor, starts this as a child and never imports user code itself.
What the user's modules print goes to standard error: standard output carries one JSON document.
"""

import argparse
import contextlib
import inspect
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from atoll.errors import BAD_ARGUMENT, NO_SUCH_NAME, NOT_A_SYSTEM, AtollError, Problem
from atoll.model.access import Jwt, is_url
from atoll.model.check import Surroundings, check
from atoll.model.contract import own_routes
from atoll.model.migrations import checksum
from atoll.model.secrets import entries_of
from atoll.model.source import place_of
from atoll.model.system import Gateway, Graph, Service, System, read_system
from atoll.runtime.loading import imported_files, load
from atoll.wire.description import Description, ProblemData, describe

Applied = dict[str, dict[str, str]]
"""By service, the checksum of each migration that was applied here, by file name."""


def read(target: str, folder: Path, environment: str, variables: Mapping[str, str]) -> Description:
    """The system at the target, or a description that holds nothing but problems.

    target: "package.module:name", "file.py" or "file.py:name".
    folder: the project's; modules are imported from it, or from its src.
    """
    import_path, module_name, name = _locate(target, folder)
    sys.path[:0] = import_path
    place, system_name = folder, name or module_name
    problems: list[Problem] = []
    try:
        module = load(module_name)
        place = Path(inspect.getfile(module)).parent if inspect.ismodule(module) else folder
        system = _system_in(module, module_name, name)
        system_name = system.name
        graph = read_system(system, load)
        surroundings = _surroundings(graph, place, environment, variables)
        problems = [*graph.problems, *check(graph, surroundings)]
        if not problems:
            described = describe(
                graph, place, tuple(import_path), lambda each: imported_files(each, folder), surroundings.jwks
            )
            # Issuers' keys are read with the declaration, and so again when they change.
            keys = tuple(str(place / name) for name in sorted(surroundings.jwks))
            files = (*imported_files(module_name, folder), *keys)
            return msgspec.structs.replace(described, target=target, files=files)
    except AtollError as error:
        problems += error.problems
    return Description(
        name=system_name,
        folder=str(place),
        import_path=tuple(import_path),
        target=target,
        files=imported_files(module_name, folder),
        # A class that two members share would report each of its problems twice.
        problems=tuple(dict.fromkeys(_problem(problem, folder) for problem in problems)),
    )


def _locate(target: str, folder: Path) -> tuple[list[str], str, str]:
    """Where to import from, which module, which name in it ("" for whatever system is there)."""
    written, _, name = target.partition(":")
    if written.endswith(".py"):
        file = (folder / written).resolve()
        if not file.is_file():
            raise BAD_ARGUMENT.error(argument=written, reason="there is no such file", do="name a file that exists")
        return [str(file.parent)], file.stem, name
    paths = [folder, folder / "src"] if (folder / "src").is_dir() else [folder]
    return [str(path.resolve()) for path in paths], written, name


def _system_in(module: object, module_name: str, name: str) -> System:
    if name:
        found = getattr(module, name, None)
        if found is None:
            names = [each for each, value in vars(module).items() if isinstance(value, System)]
            raise NO_SUCH_NAME.error(module_name, has=names, module=module_name, name=name)
        if isinstance(found, System):
            return found
        if isinstance(found, type) and own_routes(found):
            return _system_of(module_name, [found])
        raise NOT_A_SYSTEM.error(target=f"{module_name}:{name}", what=f"a {type(found).__name__}")
    systems = [value for value in vars(module).values() if isinstance(value, System)]
    if len(systems) == 1:
        return systems[0]
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module_name
        and own_routes(value)
        and not getattr(value, "_is_protocol", False)
    ]
    if systems or not classes:
        what = f"a file with {len(systems)} systems" if systems else "a file without a System and without routes"
        raise NOT_A_SYSTEM.error(target=module_name, what=what)
    return _system_of(module_name, classes)


def _system_of(module_name: str, classes: list[type]) -> System:
    """What a file of routed classes means: each is a service, and the gateway exposes them all."""
    services = [Service(_label(cls.__name__), cls, place=place_of(cls)) for cls in classes]
    return System(_label(module_name.rpartition(".")[2]), services=services, gateway=Gateway(expose=services))


def _label(name: str) -> str:
    """ "UserService" → "user"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").lower()
    return words.removesuffix("-service") or words


def _surroundings(graph: Graph, folder: Path, environment: str, variables: Mapping[str, str]) -> Surroundings:
    """What `check` has to know of the disk."""
    file = folder / "environments" / f"{environment}.toml"
    secrets: frozenset[str] = frozenset()
    if file.is_file():
        try:
            secrets = frozenset(entries_of(tomllib.loads(file.read_text()).get("secrets", {})))
        except (tomllib.TOMLDecodeError, OSError) as error:
            raise BAD_ARGUMENT.error(argument=str(file), reason=str(error), do="correct the file") from error
    applied = folder / ".atoll" / graph.system.name / "applied.json"
    return Surroundings(
        migrations={
            node.name: _checksums(folder / node.database.migrations)
            for node in graph.nodes
            if node.database and node.database.migrations
        },
        applied=msgspec.json.decode(applied.read_bytes(), type=Applied) if applied.is_file() else {},
        secrets=secrets,
        variables=frozenset(variables),
        jwks={each.jwks: _text(folder / each.jwks) for each in _issuers(graph) if not is_url(each.jwks)},
    )


def _issuers(graph: Graph) -> Sequence[Jwt]:
    return graph.system.gateway.issuers if graph.system.gateway else ()


def _text(file: Path) -> str | None:
    """None if there is no such file of text."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _checksums(folder: Path) -> dict[str, str] | None:
    """Of each migration file, by name; None if there is no such folder."""
    if not folder.is_dir():
        return None
    return {file.name: checksum(file.read_bytes()) for file in sorted(folder.glob("*.sql"))}


def _problem(problem: Problem, folder: Path) -> ProblemData:
    """As data, with places relative to the project."""
    file, _, line = problem.place.rpartition(":")
    with contextlib.suppress(ValueError):
        file = str(Path(file).relative_to(folder.resolve())) if file else ""
    place = f"{file}:{line}" if file else problem.place
    return ProblemData(problem.code, problem.sentence, place, problem.has, problem.do, problem.detail)


def main(arguments: Sequence[str], variables: Mapping[str, str]) -> int:
    """Print the description; 0 also if it holds problems, for they are part of it."""
    parser = argparse.ArgumentParser(prog="python -m atoll.runtime.describe")
    parser.add_argument("target")
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--environment", default="local")
    options = parser.parse_args(arguments)
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            description = read(options.target, options.folder.resolve(), options.environment, variables)
        except AtollError as error:
            problems = tuple(_problem(problem, options.folder) for problem in error.problems)
            description = Description(name="", folder=str(options.folder), import_path=(), problems=problems)
    output.write(msgspec.json.encode(description).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
