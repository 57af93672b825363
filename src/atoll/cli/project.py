"""Which system a command is about, found without importing anything of it."""

import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from atoll.errors import BAD_ARGUMENT, NO_SYSTEM, NOT_RUNNING
from atoll.supervisor.children import Python
from atoll.supervisor.control import ControlClient, running_systems
from atoll.supervisor.plan import Options
from atoll.supervisor.project import Project, root_of, system_folder


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for. name: "shop.system:shop" or "hello.py". folder: where it is imported from."""

    name: str
    folder: Path

    def project(self, options: Options | None = None) -> Project:
        return Project(self.name, self.folder, this_python(), options or Options())

    def system_folder(self) -> Path:
        """The folder of the system file."""
        return system_folder(self.name, self.folder)


def this_python() -> Python:
    return Python(dict(os.environ), sys.executable)


def find_target(argument: str | None) -> Target:
    """The argument, or what pyproject.toml of this folder or one above it says. Raises NO_SYSTEM, BAD_ARGUMENT."""
    here = Path.cwd()
    if argument and (argument.partition(":")[0].endswith(".py")):
        if not (here / argument.partition(":")[0]).is_file():
            raise BAD_ARGUMENT.error(argument=argument, reason="there is no such file", do="name a file that exists")
        return Target(argument, here)
    if argument and root_of(argument, here) is not None:
        return Target(argument, here)
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        declared = argument or _declared(file)
        if declared:
            return Target(declared, folder)
    if argument:
        return Target(argument, here)
    raise NO_SYSTEM.error(folder=here)


def _declared(file: Path) -> str:
    try:
        system = tomllib.loads(file.read_text()).get("tool", {}).get("atoll", {}).get("system", "")
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise BAD_ARGUMENT.error(argument=str(file), reason=str(error), do="correct the file") from error
    return str(system)


def find_state(argument: str | None, *, running: bool) -> Path:
    """The state folder of the system that runs here; else (not `running`) of the one that ran last.

    Raises NOT_RUNNING; BAD_ARGUMENT if several run here.
    """
    here = Path.cwd()
    if argument is None and not _is_project(here):
        # A folder with a single file has no pyproject.toml.
        folder, name = here, here.name
    else:
        target = find_target(argument)
        folder, name = target.system_folder(), target.name
    states = running_systems(folder)
    if len(states) == 1:
        return states[0]
    if len(states) > 1:
        wanted = [state for state in states if state.name == Path(name.partition(":")[0]).stem]
        if len(wanted) == 1:
            return wanted[0]
        names = [state.name for state in states]
        raise BAD_ARGUMENT.error(argument="TARGET", reason="several systems run here", do="name one", has=names)
    before = sorted(folder.glob(".atoll/*/ports.json"), key=lambda file: file.stat().st_mtime)
    if running or not before:
        raise NOT_RUNNING.error(system=name)
    return before[-1].parent


def _is_project(folder: Path) -> bool:
    return any(
        (each / "pyproject.toml").is_file() and _declared(each / "pyproject.toml") for each in (folder, *folder.parents)
    )


def control_of(argument: str | None) -> ControlClient:
    """Of the system that runs here. Raises NOT_RUNNING."""
    return ControlClient(find_state(argument, running=True))
