"""The public surface: its names are a file, so that a change to it shows in review."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import atoll
from tests.api_reference import GROUPS, api_reference

ROOT = Path(__file__).parents[1]
SURFACE = ROOT / "docs/surface.txt"
REFERENCE = ROOT / "docs/reference/api.md"
MOST_NAMES = 45
FOREIGN_OR_LATE = ("atoll.runtime", "atoll.engines", "atoll.supervisor", "atoll.cli", "asyncpg", "nats", "uvloop")


def test_the_public_names_are_those_of_the_surface_file() -> None:
    agreed = [line.strip() for line in SURFACE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert sorted(atoll.__all__) == sorted(agreed), "a wanted change belongs into docs/surface.txt and the changelog"


def test_the_public_names_are_few_and_each_is_there() -> None:
    assert len(atoll.__all__) == len(set(atoll.__all__)) <= MOST_NAMES
    assert not [name for name in atoll.__all__ if not hasattr(atoll, name)]


def test_the_package_only_gives_names_again() -> None:
    tree = ast.parse((ROOT / "src/atoll/__init__.py").read_text())
    docstring, *statements = tree.body
    assert ast.get_docstring(tree)
    assert isinstance(docstring, ast.Expr)
    allowed = [node for node in statements if isinstance(node, ast.ImportFrom) or _is_all(node)]
    assert [ast.unparse(node) for node in statements if node not in allowed] == []
    given = {alias.asname or alias.name for node in allowed if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert given == set(atoll.__all__)


def test_the_reference_says_what_the_docstrings_say() -> None:
    page = api_reference()
    if os.environ.get("UPDATE_GOLDEN"):
        REFERENCE.write_text(page)
    assert REFERENCE.read_text() == page, "UPDATE_GOLDEN=1 pytest tests/test_surface.py writes it anew"
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(atoll.__all__)


def test_importing_the_package_loads_no_runtime_and_no_engine() -> None:
    script = "import sys, atoll; print(*sys.modules, sep='\\n')"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    loaded = run.stdout.split()
    assert "atoll" in loaded
    assert [name for name in loaded if name.startswith(FOREIGN_OR_LATE)] == []


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
