"""The declaration as it was read the last time, for a run that finds all of its files unchanged.

Reading it anew imports every library that any member uses, which may well take longer than all the rest of a start. It
is still done, behind the start, for not everything that a declaration depends on is a file of the project.
"""

import hashlib
import importlib.metadata
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from atoll.engines.engine import File
from atoll.supervisor.home import Home
from atoll.supervisor.install import write
from atoll.supervisor.plan import unknown_replicas
from atoll.supervisor.project import Project, system_folder
from atoll.wire.description import Description

_NAME = "declaration.json"


class _Remembered(msgspec.Struct, frozen=True):
    target: str
    folder: str
    fingerprint: str
    description: Description


def remember(project: Project, description: Description, home: Home) -> None:
    """Keep the description for the next run."""
    kept = _Remembered(project.target, str(project.folder), fingerprint(project, description, home), description)
    write(File(home.state / _NAME, msgspec.json.encode(kept).decode()))


def recall(project: Project) -> Description | None:
    """The description, if nothing that it was made from has changed since; None otherwise."""
    for file in system_folder(project.target, project.folder).glob(f".atoll/*/{_NAME}"):
        with suppress(OSError, msgspec.DecodeError):
            kept = msgspec.json.decode(file.read_bytes(), type=_Remembered)
            is_ours = (kept.target, kept.folder) == (project.target, str(project.folder))
            is_ours = is_ours and not unknown_replicas(kept.description, project.options)
            if is_ours and kept.fingerprint == fingerprint(project, kept.description, Home(file.parent)):
                return kept.description
    return None


def fingerprint(project: Project, description: Description, home: Home) -> str:
    """Of everything known that a declaration is made from. Raises OSError if a file of it is gone."""
    digest = hashlib.sha256()
    for part in _surroundings(project):
        digest.update(part.encode() + b"\0")
    for file in _files(description, home):
        digest.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _surroundings(project: Project) -> Iterator[str]:
    yield sys.version
    yield project.python.program
    yield importlib.metadata.version("atoll")
    # Changes when a package is installed or removed.
    yield str(Path(sysconfig.get_path("purelib")).stat().st_mtime_ns)
    yield from sorted(name for name in project.python.variables if name.startswith("ATOLL_SECRET_"))


def _files(description: Description, home: Home) -> list[Path]:
    named = {*description.files, *(file for member in description.members for file in member.files)}
    found = {Path(file) for file in named}
    for member in description.members:
        if member.database and member.database.migrations:
            found |= set(Path(member.database.migrations).glob("*.sql"))
    # What `check` compares migrations and secrets with.
    known = (home.state / "applied.json", Path(description.folder) / "environments" / "local.toml")
    return sorted(found | {file for file in known if file.is_file()})
