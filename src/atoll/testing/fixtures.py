"""Fixtures for pytest: write `from atoll.testing.fixtures import system` into conftest.py."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll.errors import NO_SYSTEM
from atoll.testing.background import running_in_background
from atoll.testing.running import Running


@pytest.fixture(scope="session")
def system(request: pytest.FixtureRequest) -> Iterator[Running]:
    """The project's system, once for all tests: on its own engines, beside `atoll run`, and without data at first."""
    folder = request.config.rootpath
    with running_in_background(declared(folder), folder, variables=os.environ, namespace="test", fresh=True) as system:
        yield system


def declared(folder: Path) -> str:
    """What pyproject.toml names as the system. Raises NO_SYSTEM."""
    file = folder / "pyproject.toml"
    table = tomllib.loads(file.read_text()).get("tool", {}) if file.is_file() else {}
    system = table.get("atoll", {}).get("system", "")
    if not system:
        raise NO_SYSTEM.error(folder=folder)
    return str(system)
