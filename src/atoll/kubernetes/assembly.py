"""From a declaration and an environment to a target with the names of all its images, and to those images."""

import asyncio
import importlib.metadata
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atoll.kubernetes.build import Builder, Say, Tell, write_context
from atoll.kubernetes.engine_images import Tree, from_wheels, official
from atoll.kubernetes.ignored import ignored_in
from atoll.kubernetes.image import PYTHON_CONTEXT, Image
from atoll.kubernetes.lock import Locked
from atoll.kubernetes.names import Target
from atoll.kubernetes.npm import fetch_packages
from atoll.kubernetes.origin import origin_of
from atoll.kubernetes.pins import Pins
from atoll.kubernetes.project import Lock, find_lock, images_of, needs_lock, with_images
from atoll.kubernetes.resolve import project_of
from atoll.kubernetes.software import Package, Software, document
from atoll.kubernetes.sources import Sources, folders_of
from atoll.kubernetes.wheels import fetch_wheels, found_wheels, own_wheel

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything that can be built of a project. folder: where contexts, logs and software lists are kept.

    lock: None where nothing is written in Python. own: the wheel of atoll that the lock lacks. notes: what a user
    should know of how it came about.
    """

    target: Target
    folder: Path
    images: tuple[Image, ...]
    trees: Mapping[str, Tree]
    lock: Lock | None
    own: Locked | None
    notes: tuple[str, ...] = ()

    @property
    def software_folder(self) -> Path:
        return self.folder / "sbom"

    def software_list(self, image: Image) -> Path:
        """Its file. The tag is in the name, so what is there is right."""
        return self.software_folder / f"{image.name}-{image.tag}.cdx.json"


async def assemble(target: Target, folder: Path, pins: Pins, variables: Mapping[str, str]) -> Assembly:
    """Read all that images are made of. Raises AtollError with what is missing or wrong."""
    lock, own = None, None
    if needs_lock(target):
        lock = find_lock(target)
        if all(each.name != "atoll" for each in lock.packages):
            own = await own_wheel(folder / "atoll", variables)
            lock = Lock(lock.place, (*lock.packages, own))
    folders = folders_of(target)
    ignored = await ignored_in(folders, variables)
    sources = Sources(Path(project_of(target)), ignored, target.environment.images.include)
    images = images_of(target, lock, pins, sources)
    trees: dict[str, Tree] = {}
    engines: dict[str, str] = {}
    if target.environment.images.engines == "wheels":
        for image, tree in from_wheels(target, pins):
            images.append(image)
            trees[image.name] = tree
    else:
        engines = {name: pins.base(image).name for name, image in official(target).items()}
    named = {**engines, **{image.name: image.reference for image in images}}
    return Assembly(with_images(target, named), folder, tuple(images), trees, lock, own, sources.notes(folders))


async def build(
    wanted: Sequence[Image],
    assembly: Assembly,
    builder: Builder,
    variables: Mapping[str, str],
    say: Say,
    tell: Tell,
) -> list[Image]:
    """Build those of the images that are not there yet, and return them.

    say: told what is done. tell: what is being done.

    Raises AtollError WHEELS_FAILED, BUILD_FAILED.
    """
    there = await builder.has()
    missing = [each for each in wanted if each.reference not in there]
    for image in wanted:
        if image not in missing:
            say(f"{image.reference} is there")
    unlisted = [each for each in wanted if each in missing or not assembly.software_list(each).is_file()]
    if assembly.lock is not None and any(each.context == PYTHON_CONTEXT for each in unlisted):
        await _fill_wheelhouse(assembly, assembly.lock, variables, say)
    for image in unlisted:
        _list_software(assembly, image)
    if missing:
        await _build_all(assembly, builder, missing, variables, say, tell)
    return missing


async def _build_all(
    assembly: Assembly, builder: Builder, images: Sequence[Image], variables: Mapping[str, str], say: Say, tell: Tell
) -> None:
    labels = await origin_of(Path(assembly.target.description.folder), variables)
    # What all of them share is made once, by the first.
    write_context(assembly.folder / PYTHON_CONTEXT, [each for each in images if each.context == PYTHON_CONTEXT])
    for image in images:
        if image.context != PYTHON_CONTEXT:
            await _write_own_context(assembly, image, variables, say)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def build_one(image: Image) -> None:
        async with gate:
            began = asyncio.get_running_loop().time()
            await _build(assembly, builder, image, labels, tell)
            say(f"{image.reference} is built, {asyncio.get_running_loop().time() - began:.1f} s")

    await build_one(images[0])
    async with asyncio.TaskGroup() as group:
        for image in images[1:]:
            group.create_task(build_one(image))


async def push(images: Sequence[Image], assembly: Assembly, builder: Builder, say: Say) -> None:
    for image in images:
        await builder.push(image, assembly.folder / f"{image.name}.log")
        say(f"{image.reference} is pushed")


async def _fill_wheelhouse(assembly: Assembly, lock: Lock, variables: Mapping[str, str], say: Say) -> None:
    wheels = assembly.folder / PYTHON_CONTEXT / "wheels"
    own = assembly.own
    say(f"wheels of {len(lock.packages)} packages from {Path(lock.place).name}")
    fetched = [each for each in lock.packages if each != own]
    if own is not None:
        for wheel in wheels.glob("atoll-*.whl"):
            wheel.unlink()
    await fetch_wheels(fetched, lock.place, assembly.target.environment.images.python, wheels, variables)
    if own is not None:
        (wheel,) = (assembly.folder / "atoll").glob("*.whl")
        shutil.copy(wheel, wheels / wheel.name)


def _list_software(assembly: Assembly, image: Image) -> None:
    """Beside the image, as it can't be in it; lists of its older tags go."""
    file = assembly.software_list(image)
    file.parent.mkdir(parents=True, exist_ok=True)
    packages = image.packages
    if image.context == PYTHON_CONTEXT and assembly.lock is not None:
        found = found_wheels(assembly.lock.packages, assembly.folder / PYTHON_CONTEXT / "wheels")
        packages = tuple(
            Package("pypi", each.name, each.version, (found[each.name],)) for each in assembly.lock.packages
        )
    software = Software(packages, image.bases, is_whole=not image.is_own)
    content = document(f"{image.repository}/{image.name}", image.tag, software, importlib.metadata.version("atoll"))
    for old in file.parent.glob(f"{image.name}-{image.version}{'[0-9a-f]' * 12}.cdx.json"):
        old.unlink()
    file.write_bytes(content)


async def _write_own_context(assembly: Assembly, image: Image, variables: Mapping[str, str], say: Say) -> None:
    context = assembly.folder / image.context
    if context.exists():
        shutil.rmtree(context)
    write_context(context, [image])
    tree = assembly.trees.get(image.name)
    if tree is not None:
        for path in tree.paths:
            _copy(tree.root / path, assembly.folder / tree.context / path)
    elif image.packages:
        say(f"{len(image.packages)} packages of {image.name} from its package-lock.json")
        _copy(await fetch_packages(image, assembly.folder / "npm", variables), context / ".npm")


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, symlinks=True)
    else:
        shutil.copy(source, place)


async def _build(assembly: Assembly, builder: Builder, image: Image, labels: Mapping[str, str], tell: Tell) -> None:
    context = assembly.folder / image.context
    dockerfile = context / "Dockerfile"
    if not dockerfile.is_file() or dockerfile.read_text() != image.dockerfile:
        dockerfile.write_text(image.dockerfile)
    log = assembly.folder / f"{image.name}.log"
    await builder.build(image, context, dockerfile, log, {**image.labels, **labels}, tell)
