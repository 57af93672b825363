"""`atoll build`."""

import asyncio
import json
import os

import click

from atoll.cli.declared import assembled
from atoll.cli.options import environment_option, json_option, target_option
from atoll.errors import NO_SUCH_SERVICE, AtollError
from atoll.kubernetes.assembly import build, push
from atoll.kubernetes.build import find_builder
from atoll.kubernetes.image import Image
from atoll.model.suggest import nearest


@click.command("build")
@click.argument("services", nargs=-1)
@target_option
@environment_option
@click.option("--push", "is_pushed", is_flag=True, help="Push what is built, and what was there, to its registry.")
@click.option("--builder", default="", metavar="PROGRAM", help="docker or buildah, where the PATH has another one.")
@json_option
def command(
    services: tuple[str, ...], target: str | None, environment: str, is_pushed: bool, builder: str, as_json: bool
) -> None:
    """Build an image for each service, or for SERVICES alone.

    Each has a tag made of its contents: what has not changed is not built again.
    """
    images = asyncio.run(_build(services, target, environment, is_pushed, builder, as_json))
    if as_json:
        click.echo(json.dumps({image.name: image.reference for image in images}))


async def _build(
    services: tuple[str, ...], target: str | None, environment: str, is_pushed: bool, builder: str, is_quiet: bool
) -> list[Image]:
    def say(line: str) -> None:
        click.echo(line, err=is_quiet)

    made = await assembled(target, environment)
    unknown = [each for each in services if each not in {image.name for image in made.images}]
    if unknown:
        names = [image.name for image in made.images]
        raise AtollError(*(NO_SUCH_SERVICE.at(has=nearest(each, names), name=each) for each in unknown))
    program = find_builder(os.environ, builder)
    await build(made, program, os.environ, say, services)
    images = [each for each in made.images if not services or each.name in services]
    if is_pushed:
        await push(images, made, program, say)
    return images
