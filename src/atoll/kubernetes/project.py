"""What images are made from, read from the disk: a project's files, its lock, the environment."""

import re
import tomllib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from atoll.errors import BAD_ENVIRONMENT, BAD_LOCK, NO_DOCKERFILE, NO_ENVIRONMENT, Problem
from atoll.kubernetes.engine_images import engines_used, official
from atoll.kubernetes.environment import Environment
from atoll.kubernetes.image import (
    Folder,
    Image,
    bare_image,
    contents_of,
    is_data,
    is_of_node,
    is_searched,
    is_sent,
    node_image,
    own_image,
    python_image,
)
from atoll.kubernetes.lock import Locked, read_lock
from atoll.kubernetes.names import COLLECTOR, SETUP, Target
from atoll.kubernetes.package_lock import PACKAGE
from atoll.kubernetes.pins import Pins
from atoll.kubernetes.resolve import project_of
from atoll.kubernetes.setup import sets_up
from atoll.kubernetes.structure import structured
from atoll.kubernetes.written import Written, lines_of
from atoll.model.suggest import nearest
from atoll.wire.description import MemberData

COLLECTOR_PACKAGES = frozenset({"starlette", "uvicorn"})
"""What the collector imports beside what every service does; the dashboard writes pages too."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The packages of all Python services. place: of its file."""

    place: str
    packages: tuple[Locked, ...]

    @property
    def text(self) -> str:
        return "".join(f"{each}\n" for each in self.packages)


_LINE = re.compile(r"at line (\d+)")
USUAL = "production"
"""The environment that is meant where none is named; it alone needs no file."""


@dataclass(frozen=True, slots=True)
class Read:
    """An environment as far as its file is right. problems: of the rest, by their entries."""

    environment: Environment
    written: Written
    problems: Mapping[str, Problem] = field(default_factory=dict)


def read_environment(folder: Path, name: str, project: Path) -> Read:
    """The file environments/NAME.toml beside the system file. Without one of USUAL everything is the default.

    project: what its path is told from. Raises AtollError NO_ENVIRONMENT, with those that there are, and
    BAD_ENVIRONMENT where it is no TOML.
    """
    file = folder / "environments" / f"{name}.toml"
    shown = str(file.relative_to(project)) if file.is_relative_to(project) else str(file)
    if not file.is_file():
        if name == USUAL:
            return Read(Environment(), Written(shown))
        # local.toml is of this machine, and lock files are of their environments.
        there = [each.stem for each in file.parent.glob("*.toml") if not each.stem.endswith(".lock")]
        raise NO_ENVIRONMENT.error(has=nearest(name, [each for each in there if each != "local"]), name=name)
    try:
        text = file.read_text()
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        line = _LINE.search(str(error))
        place = f"{shown}:{line[1]}" if line else shown
        raise BAD_ENVIRONMENT.error(place, entry=shown, reason=f"is wrong: {error}", do="correct it") from error
    written = Written(shown, lines_of(text))
    environment, problems = structured(table, Environment, written)
    return Read(environment, written, problems)


def find_lock(target: Target) -> Lock:
    """The lock that the environment names, or requirements.txt beside the project. Raises AtollError BAD_LOCK."""
    images = target.environment.images
    file = Path(project_of(target)) / images.lock
    try:
        text = file.read_text()
    except OSError as error:
        do = "make it: uv pip compile pyproject.toml --generate-hashes --output-file requirements.txt"
        raise BAD_LOCK.error(str(file), reason=f"{images.lock} can't be read: {error.strerror}", do=do) from error
    return Lock(str(file), read_lock(text, str(file), images.python))


def images_of(target: Target, lock: Lock | None, pins: Pins) -> list[Image]:
    """The images of the members, and of what sets up a namespace and the collector where there are such.

    lock: None if no member is written in Python. Raises AtollError NO_DOCKERFILE, BAD_LOCK, UNPINNED.
    """
    found = [_image(target, member, lock, pins) for member in target.members]
    collects = target.environment.telemetry.collector
    bare = [*([SETUP] if sets_up(target) else []), *([COLLECTOR] if collects else [])]
    needed = COLLECTOR_PACKAGES | ({"jinja2"} if target.environment.telemetry.dashboard else set())
    if lock is not None:
        missing = sorted(needed - {each.name for each in lock.packages}) if collects else []
        if missing:
            do = "add atoll[local] to what the lock is made of, or set telemetry.collector = false"
            raise BAD_LOCK.error(lock.place, reason=f"the collector needs {' and '.join(missing)}", do=do)
        base = pins.base(target.environment.images.base)
        found += [bare_image(target, name, lock.text, base) for name in bare]
    return found


def makes_node(member: MemberData) -> bool:
    """Whether it gets the image that is made for Node.js."""
    folder = Path(member.directory)
    return member.kind == "process" and not (folder / "Dockerfile").is_file() and (folder / PACKAGE).is_file()


def _image(target: Target, member: MemberData, lock: Lock | None, pins: Pins) -> Image:
    images = target.environment.images
    if makes_node(member):
        return node_image(target, member, _node_folder(Path(member.directory)), pins.base(images.node))
    if member.kind == "process":
        folder = _whole(Path(member.directory))
        if "Dockerfile" in folder.files:
            return own_image(target, member, folder)
        raise NO_DOCKERFILE.error(member.place, service=member.name, folder=member.directory)
    assert lock is not None
    return python_image(target, member, _project_files(target, member), lock.text, pins.base(images.base))


def _project_files(target: Target, member: MemberData) -> dict[str, bytes]:
    contents = contents_of(target, member)
    root = Path(project_of(target))
    files = {Path(each) for each in contents.modules}
    for folder in contents.folders:
        files |= set(_data(Path(folder), contents.without))
    return {str(each.relative_to(root)): each.read_bytes() for each in sorted(files)}


def _data(folder: Path, without: Container[str]) -> list[Path]:
    """The data files of a package: those of packages below it are not its own."""
    found: list[Path] = []
    for each in sorted(folder.iterdir()):
        if each.is_file() and is_data(each.name):
            found.append(each)
        elif each.is_dir() and is_searched(each.name) and str(each) not in without:
            found += [] if (each / "__init__.py").is_file() else _data(each, without)
    return found


def _node_folder(folder: Path) -> Folder:
    whole = _whole(folder)
    files = {path: content for path, content in whole.files.items() if is_of_node(path)}
    return Folder(files, whole.executable & set(files))


def _whole(folder: Path) -> Folder:
    """All files of a program's folder but what was made from others, and what is secret by its name."""
    found = {str(each.relative_to(folder)): each for each in _walk(folder)}
    executable = frozenset(path for path, each in found.items() if each.stat().st_mode & 0o100)
    return Folder({path: each.read_bytes() for path, each in found.items()}, executable)


def _walk(folder: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if is_sent(each.name):
            if each.is_dir():
                yield from _walk(each)
            elif each.is_file():
                yield each


def with_images(target: Target, images: Mapping[str, str]) -> Target:
    return replace(target, images={**target.images, **images})


def is_python(member: MemberData) -> bool:
    return member.kind in {"service", "asgi"}


def tags_of(target: Target) -> list[str]:
    """The names of all images from elsewhere that its own are made of, and that run as they are."""
    images = target.environment.images
    found = set(official(target).values()) if images.engines == "official" else set()
    if needs_lock(target) or (images.engines == "wheels" and engines_used(target)):
        found.add(images.base)
    if any(makes_node(each) for each in target.members):
        found.add(images.node)
    return sorted(each for each in found if "@" not in each)


def needs_lock(target: Target) -> bool:
    """Whether any image has Python in it: that of a service, of what sets up a namespace, or of the collector."""
    is_needed = sets_up(target) or target.environment.telemetry.collector
    return is_needed or any(is_python(each) for each in target.members)
