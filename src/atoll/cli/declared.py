"""What the commands for images and clusters begin with: the declaration, the environment, the names of images."""

import os
from pathlib import Path

import click
from msgspec.structs import replace

from atoll.cli import project
from atoll.cli.options import WITH_DASHBOARD
from atoll.cli.project import find_target
from atoll.errors import AtollError
from atoll.kubernetes.assembly import Assembly, assemble
from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.names import Target
from atoll.kubernetes.pins import read_pins
from atoll.kubernetes.project import read_environment
from atoll.wire.description import Description


async def declared(target: str | None, environment: str, base: str = "") -> Target:
    """base: instead of the one that the environment names, if it is not "".

    Raises AtollError with everything that is wrong in the declaration or the environment.
    """
    asked = find_target(target)
    return targeted(asked, await asked.project().describe(), environment, base)


def targeted(
    asked: project.Target, description: Description, environment: str, base: str = "", *, is_judged: bool = True
) -> Target:
    """The description in this environment. is_judged: whether they fit; else the environment is judged by itself.

    Raises AtollError with everything that is wrong in the environment.
    """
    found = read_environment(Path(description.folder), environment, asked.folder)
    read = found.environment
    if base:
        read = replace(read, images=replace(read.images, base=base))
    context = click.get_current_context(silent=True)
    if read.telemetry.dashboard or (context and context.meta.get(WITH_DASHBOARD)):
        read = replace(read, telemetry=replace(read.telemetry, collector=True, dashboard=True))
    wanted = Target(description, read, called=environment)
    # An entry that could not be read has its default here, of which nothing more is to be said.
    unread = tuple(f"{entry} " for entry in found.problems)
    every = environment_problems(wanted, found.written) if is_judged else []
    judged = [each for each in every if not each.sentence.startswith(unread)]
    if found.problems or judged:
        raise AtollError(*found.problems.values(), *judged)
    return wanted


async def assembled(target: str | None, environment: str, base: str = "") -> Assembly:
    """With the names of all images. Raises AtollError, also for what is wrong in the lock."""
    return await assembly_of(await declared(target, environment, base), environment)


async def assembly_of(wanted: Target, environment: str) -> Assembly:
    """From what it is made of on this machine, and the digests that are kept beside the environment."""
    folder = Path(wanted.description.folder)
    pins = read_pins(folder, environment)
    return await assemble(wanted, folder / ".atoll" / "build" / wanted.system, pins, os.environ)
