"""What images are made from: the environment, the lock, and what is to be built of them."""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from atoll.errors import (
    BAD_ENVIRONMENT,
    BAD_LOCK,
    LOCAL_ENVIRONMENT,
    NO_DOCKERFILE,
    NO_ENVIRONMENT,
    AtollError,
    Problem,
)
from atoll.kubernetes.engine_images import engines_used, official
from atoll.kubernetes.environment import Environment
from atoll.kubernetes.image import Image, bare_image, contents_of, node_image, own_image, python_image
from atoll.kubernetes.lock import Locked, read_lock
from atoll.kubernetes.names import COLLECTOR, SETUP, Target
from atoll.kubernetes.package_lock import PACKAGE
from atoll.kubernetes.pins import Pins
from atoll.kubernetes.resolve import project_of
from atoll.kubernetes.setup import sets_up
from atoll.kubernetes.sources import Sources, node_folder, package_files, whole_folder
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
_LOCAL = "local"
"""The one of this machine: it has values of secrets where others have names."""


@dataclass(frozen=True, slots=True)
class Read:
    """An environment as far as its file is right. problems: of the rest, by their entries."""

    environment: Environment
    written: Written
    problems: Mapping[str, Problem] = field(default_factory=dict)


def read_environment(folder: Path, name: str, project: Path) -> Read:
    """The file environments/NAME.toml beside the system file. Without one of USUAL everything is the default.

    project: what its path is told from. Raises AtollError NO_ENVIRONMENT, with those that there are,
    LOCAL_ENVIRONMENT, and BAD_ENVIRONMENT where it is no TOML.
    """
    file = folder / "environments" / f"{name}.toml"
    shown = str(file.relative_to(project)) if file.is_relative_to(project) else str(file)
    # Lock files are of their environments.
    there = [each.stem for each in file.parent.glob("*.toml") if not each.stem.endswith(".lock")]
    clusters = [each for each in there if each != _LOCAL]
    if name == _LOCAL:
        raise LOCAL_ENVIRONMENT.error(has=clusters)
    if not file.is_file():
        if name == USUAL:
            return Read(Environment(), Written(shown))
        raise NO_ENVIRONMENT.error(has=nearest(name, clusters), name=name)
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
    project = Path(project_of(target))
    file = project / images.lock
    try:
        text = file.read_text()
    except OSError as error:
        is_declared = (project / "pyproject.toml").is_file()
        source = "pyproject.toml" if is_declared else "requirements.in"
        made = f"make it: uv pip compile {source} --universal --generate-hashes --output-file {images.lock}"
        do = (
            made if is_declared else f"name atoll and what else is imported in a file {source}, a line each, and {made}"
        )
        raise BAD_LOCK.error(str(file), reason=f"{images.lock} can't be read: {error.strerror}", do=do) from error
    return Lock(str(file), read_lock(text, str(file), images.python))


def images_of(target: Target, lock: Lock | None, pins: Pins, sources: Sources) -> list[Image]:
    """The images of the members, and of what sets up a namespace and the collector where there are such.

    lock: None if no member is written in Python. Raises AtollError NO_DOCKERFILE, BAD_LOCK, UNPINNED, SECRET_FILE.
    """
    found, problems = _images(target, lock, pins, sources)
    if problems:
        raise AtollError(*problems)
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


def _images(target: Target, lock: Lock | None, pins: Pins, sources: Sources) -> tuple[list[Image], Collection[Problem]]:
    """Of the members, with all that is wrong; a file that is wrong in several images is told once."""
    found: list[Image] = []
    problems: dict[tuple[str, str], Problem] = {}
    for member in target.members:
        try:
            found.append(_image(target, member, lock, pins, sources))
        except AtollError as error:
            for each in error.problems:
                problems.setdefault((each.code, each.place or each.sentence), each)
    return found, problems.values()


def makes_node(member: MemberData) -> bool:
    """Whether it gets the image that is made for Node.js."""
    folder = Path(member.directory)
    return member.kind == "process" and not (folder / "Dockerfile").is_file() and (folder / PACKAGE).is_file()


def _image(target: Target, member: MemberData, lock: Lock | None, pins: Pins, sources: Sources) -> Image:
    images = target.environment.images
    if makes_node(member):
        return node_image(target, member, node_folder(sources, member), pins.base(images.node))
    if member.kind == "process":
        folder = whole_folder(sources, member)
        if "Dockerfile" in folder.files:
            return own_image(target, member, folder)
        raise NO_DOCKERFILE.error(member.place, service=member.name, folder=member.directory)
    assert lock is not None
    files = package_files(sources, member, contents_of(target, member))
    return python_image(target, member, files, lock.text, pins.base(images.base))


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
