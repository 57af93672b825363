"""Where the engines' programs are in the wheels that are installed here."""

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

from atoll.engines import versions
from atoll.engines.versions import Wheel
from atoll.errors import AtollError


def find_program(wheel: Wheel) -> Path:
    """The engine's program in its installed wheel. Raises ENGINE_MISSING with the line that installs it."""
    try:
        distribution = importlib.metadata.distribution(wheel.distribution)
    except importlib.metadata.PackageNotFoundError:
        distribution = None
    problem = versions.unsuitable(wheel, distribution.version if distribution else "")
    if problem or distribution is None:
        raise AtollError(*([problem] if problem else []))
    for place in _places(distribution, wheel):
        if place.is_file():
            return place
    raise AtollError(versions.incomplete(wheel, str(distribution.locate_file(""))))


def _places(distribution: importlib.metadata.Distribution, wheel: Wheel) -> Iterator[Path]:
    if "/" in wheel.program:
        yield Path(str(distribution.locate_file(wheel.program)))
        return
    # A script lies wherever the installer puts scripts; the list of installed files says where that was.
    for file in distribution.files or []:
        if file.name == wheel.program:
            yield Path(os.path.normpath(str(distribution.locate_file(file))))
