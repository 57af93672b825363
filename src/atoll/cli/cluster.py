"""What the commands for images and clusters begin with: the declaration, the environment, and the names of images."""

import os
from pathlib import Path

from atoll.cli.project import find_target
from atoll.errors import AtollError
from atoll.kubernetes.assembly import Assembly, assemble
from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.names import Target
from atoll.kubernetes.project import read_environment


async def assembled(target: str | None, environment: str) -> Assembly:
    """Raises AtollError with everything that is wrong in the declaration, the environment, or the lock."""
    description = await find_target(target).project().describe()
    folder = Path(description.folder)
    wanted = Target(description, read_environment(folder, environment))
    problems = environment_problems(wanted, f"environments/{environment}.toml")
    if problems:
        raise AtollError(*problems)
    return await assemble(wanted, folder / ".atoll" / "build" / description.name, os.environ)
