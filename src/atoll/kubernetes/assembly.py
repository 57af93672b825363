"""From a declaration and an environment to a target with the names of all its images, and to those images."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atoll.kubernetes.build import Builder, Say, write_context
from atoll.kubernetes.engine_images import Tree, from_wheels, official
from atoll.kubernetes.image import Image
from atoll.kubernetes.lock import Locked
from atoll.kubernetes.names import Target
from atoll.kubernetes.project import Lock, find_lock, images_of, needs_lock, with_images
from atoll.kubernetes.wheels import fetch_wheels, own_wheel

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything that can be built of a project. folder: where contexts, logs and software lists are kept.

    lock: None where nothing is written in Python. own: the wheel of atoll that the lock lacks.
    """

    target: Target
    folder: Path
    images: tuple[Image, ...]
    trees: Mapping[str, Tree]
    lock: Lock | None
    own: Locked | None


async def assemble(target: Target, folder: Path, variables: Mapping[str, str]) -> Assembly:
    """Read all that images are made of. Raises AtollError with what is missing or wrong."""
    lock, own = None, None
    if needs_lock(target):
        lock = find_lock(target)
        if all(each.name != "atoll" for each in lock.packages):
            own = await own_wheel(folder / "atoll", variables)
            lock = Lock(lock.place, (*lock.packages, own))
    images = images_of(target, lock)
    trees: dict[str, Tree] = {}
    engines: dict[str, str] = {}
    if target.environment.images.engines == "wheels":
        for image, tree in from_wheels(target):
            images.append(image)
            trees[image.name] = tree
    else:
        engines = official(target)
    named = {**engines, **{image.name: image.reference for image in images}}
    return Assembly(with_images(target, named), folder, tuple(images), trees, lock, own)


async def build(
    assembly: Assembly, builder: Builder, variables: Mapping[str, str], say: Say, only: Sequence[str] = ()
) -> list[Image]:
    """Build what is not there yet, and return it. only: these services; () is all.

    Raises AtollError WHEELS_FAILED, BUILD_FAILED.
    """
    wanted = [each for each in assembly.images if not only or each.name in only]
    there = await builder.has()
    missing = [each for each in wanted if each.reference not in there]
    for image in wanted:
        if image not in missing:
            say(f"{image.reference} is there")
    if not missing:
        return []
    python = [each for each in missing if each.context == "python"]
    if python and assembly.lock is not None:
        await _fill_wheelhouse(assembly, assembly.lock, variables, say)
        # What all of them share is made once, by the first.
        write_context(assembly.folder / "python", python)
    for image in missing:
        if image.context != "python":
            _write_own_context(assembly, image)
    gate = asyncio.Semaphore(_AT_ONCE)
    first, rest = missing[0], missing[1:]
    await _build(assembly, builder, first, gate, say)
    async with asyncio.TaskGroup() as group:
        for image in rest:
            group.create_task(_build(assembly, builder, image, gate, say))
    return missing


async def push(images: Sequence[Image], assembly: Assembly, builder: Builder, say: Say) -> None:
    for image in images:
        await builder.push(image, assembly.folder / f"{image.name}.log")
        say(f"{image.reference} is pushed")


async def _fill_wheelhouse(assembly: Assembly, lock: Lock, variables: Mapping[str, str], say: Say) -> None:
    wheels = assembly.folder / "python" / "wheels"
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


def _write_own_context(assembly: Assembly, image: Image) -> None:
    context = assembly.folder / image.context
    if context.exists():
        shutil.rmtree(context)
    write_context(context, [image])
    tree = assembly.trees.get(image.name)
    if tree is not None:
        for path in tree.paths:
            _copy(tree.root / path, assembly.folder / tree.context / path)
    # A cache that npm may fill; empty where nothing is to be installed.
    (context / ".npm").mkdir(exist_ok=True)


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, symlinks=True)
    else:
        shutil.copy(source, place)


async def _build(assembly: Assembly, builder: Builder, image: Image, gate: asyncio.Semaphore, say: Say) -> None:
    context = assembly.folder / image.context
    dockerfile = context / "Dockerfile"
    async with gate:
        if not dockerfile.is_file() or dockerfile.read_text() != image.dockerfile:
            dockerfile.write_text(image.dockerfile)
        began = asyncio.get_running_loop().time()
        await builder.build(image, context, dockerfile, assembly.folder / f"{image.name}.log")
        say(f"{image.reference} is built, {asyncio.get_running_loop().time() - began:.1f} s")
