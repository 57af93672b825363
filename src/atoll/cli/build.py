"""`atoll build`."""

import asyncio
import json
import os
from pathlib import Path

import click

from atoll.cli.build_progress import BuildProgress
from atoll.cli.declared import assembly_of, declared
from atoll.cli.options import base_option, dashboard_option, environment_option, json_option, target_option
from atoll.errors import NO_SUCH_SERVICE, AtollError
from atoll.kubernetes.assembly import build, push
from atoll.kubernetes.build import Say, find_builder
from atoll.kubernetes.image import Image
from atoll.kubernetes.names import Target
from atoll.kubernetes.pins import pins_file, written
from atoll.kubernetes.project import tags_of
from atoll.kubernetes.published import published
from atoll.kubernetes.registry import digests_of
from atoll.model.suggest import nearest


@click.command("build")
@click.argument("services", nargs=-1)
@target_option
@environment_option
@dashboard_option
@base_option
@click.option("--pin", "is_pinned", is_flag=True, help="First write what tags mean now to environments/NAME.lock.toml.")
@click.option("--push", "is_pushed", is_flag=True, help="Push to its registry what is not there yet.")
@click.option("--builder", default="", metavar="PROGRAM", help="docker, buildah or a path; else the first there is.")
@json_option
def command(
    services: tuple[str, ...],
    target: str | None,
    environment: str,
    base: str,
    is_pinned: bool,
    is_pushed: bool,
    builder: str,
    as_json: bool,
) -> None:
    """Build an image for each service, or for SERVICES alone.

    Each has a tag made of its contents: what has not changed is not built again. A list of the software in each is
    written to .atoll/build/SYSTEM/sbom beside the system file, in CycloneDX.
    """

    with BuildProgress(as_json=as_json) as progress:
        images = asyncio.run(_build(services, (target, environment, base), builder, is_pinned, is_pushed, progress))
    if as_json:
        click.echo(json.dumps({image.name: image.reference for image in images}))


async def _build(
    services: tuple[str, ...],
    what: tuple[str | None, str, str],
    builder: str,
    is_pinned: bool,
    is_pushed: bool,
    progress: BuildProgress,
) -> list[Image]:
    """what: target, environment and base."""
    say = progress.say
    wanted, environment = await declared(*what), what[1]
    if is_pinned:
        await _pin(wanted, environment, say)
    made = await assembly_of(wanted, environment)
    for note in made.notes:
        say(note)
    unknown = [each for each in services if each not in {image.name for image in made.images}]
    if unknown:
        names = [image.name for image in made.images]
        raise AtollError(*(NO_SUCH_SERVICE.at(has=nearest(each, names), name=each) for each in unknown))
    program = find_builder(os.environ, builder)
    images = [each for each in made.images if not services or each.name in services]
    there = await published([each.reference for each in images], program) if is_pushed else frozenset()
    for image in images:
        if image.reference in there:
            say(f"{image.reference} is at its registry: neither built nor pushed")
    missing = [each for each in images if each.reference not in there]
    if missing:
        await build(missing, made, program, os.environ, say, progress.tell)
        say(f"software lists in {made.software_folder}")
    if is_pushed:
        await push(missing, made, program, say)
    return images


async def _pin(wanted: Target, environment: str, say: Say) -> None:
    digests = await digests_of(tags_of(wanted))
    file = pins_file(Path(wanted.description.folder), environment)
    file.parent.mkdir(exist_ok=True)
    file.write_text(written(digests))
    for name, digest in digests.items():
        say(f"{name} is {digest}")
    say(f"{len(digests)} digests in {file}")
