"""What `check` says of each wrong system in cases/, word for word.

A case is cases/NAME.py; what is said of it stands in cases/NAME.txt ("" for nothing).
After a wanted change: UPDATE_GOLDEN=1 pytest tests/model/test_check.py, and read the difference.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll import errors
from atoll.errors import Kind, Problem
from atoll.runtime.describe import read

CASES = Path(__file__).parent / "cases"
NAMES = sorted(file.stem for file in CASES.glob("*.py") if file.stem != "asgi_app")


@pytest.fixture
def fresh_imports() -> Iterator[None]:
    """Each case is imported as if for the first time."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def said_of(name: str) -> str:
    description = read(f"{name}.py", CASES, "local", {})
    problems = [
        Problem(each.code, each.sentence, each.place, each.has, each.do, each.detail) for each in description.problems
    ]
    return "".join(f"{problem}\n\n" for problem in problems).replace(str(CASES), "cases")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("fresh_imports")
def test_everything_wrong_is_said_at_once_with_its_place_and_its_remedy(name: str) -> None:
    golden = CASES / f"{name}.txt"
    said = said_of(name)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(said)
    assert said == golden.read_text()


def test_every_number_of_the_catalogue_is_used_once() -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, Kind)]
    numbers = [kind.number for kind in kinds]
    assert len(numbers) > 50
    assert len(set(numbers)) == len(numbers)


def test_every_rule_of_the_model_has_a_case() -> None:
    said = "".join((CASES / f"{name}.txt").read_text() for name in NAMES) + ELSEWHERE
    missing = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, Kind) and 2000 <= value.number < 3000 and value.code not in said
    ]
    assert missing == []


# Cases that need more than one file have their own tests: an edited migration (test_migration_files.py), a program that
# this machine lacks (tests/supervisor).
ELSEWHERE = "ATL2206 ATL2210"
