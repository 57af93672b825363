"""What the commands for images and clusters begin with: the declaration, the environment, the names of images."""

import os
from pathlib import Path

from atoll.cli.project import find_target
from atoll.errors import AtollError
from atoll.kubernetes.assembly import Assembly, assemble
from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.names import Target
from atoll.kubernetes.project import read_environment


async def declared(target: str | None, environment: str) -> Target:
    """Raises AtollError with everything that is wrong in the declaration or the environment."""
    description = await find_target(target).project().describe()
    wanted = Target(description, read_environment(Path(description.folder), environment))
    problems = environment_problems(wanted, f"environments/{environment}.toml")
    if problems:
        raise AtollError(*problems)
    return wanted


async def assembled(target: str | None, environment: str) -> Assembly:
    """With the names of all images. Raises AtollError, also for what is wrong in the lock."""
    wanted = await declared(target, environment)
    folder = Path(wanted.description.folder) / ".atoll" / "build" / wanted.system
    return await assemble(wanted, folder, os.environ)
