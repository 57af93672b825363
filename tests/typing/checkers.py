"""Runs the type checkers over samples, and compares what they say with what the samples expect."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

Place = tuple[str, int]
"""A file's name and a line in it, from 1."""

_MARKER = re.compile(r"# expect: (?P<mypy>[\w -]+?) \| (?P<basedpyright>\w+(?: \w+)*)$")


def expected(samples: Path, checker: str) -> dict[Place, set[str]]:
    """The rules that the samples' lines expect to be broken.

    checker: "mypy" or "basedpyright". A marker is `# expect: arg-type | reportArgumentType`: first mypy's code, then
    basedpyright's rule; of several, separated by spaces, each may be the one.
    """
    return {
        (path.name, number): set(marker[checker].split())
        for path in sorted(samples.glob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (marker := _MARKER.search(line))
    }


def by_mypy(samples: Path, cache: Path) -> dict[Place, set[str]]:
    """What mypy --strict finds, with no configuration but its own."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--cache-dir={cache}",
        "--output=json",
        "--no-error-summary",
    ]
    output = _run([*command, *map(str, sorted(samples.glob("*.py")))], samples)
    found: dict[Place, set[str]] = {}
    for line in filter(None, output.splitlines()):
        message = json.loads(line)
        if message["severity"] == "error":
            found.setdefault((Path(message["file"]).name, message["line"]), set()).add(message["code"])
    return found


def by_basedpyright(samples: Path, folder: Path) -> dict[Place, set[str]]:
    """What basedpyright finds in the mode that the field calls strict.

    folder: for its configuration, so that the repository's own plays no part.
    """
    configuration = {"include": [str(samples)], "typeCheckingMode": "strict", "reportUnusedExpression": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(configuration))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    output = json.loads(_run([*command, "--project", str(folder)], folder))
    found: dict[Place, set[str]] = {}
    for message in output["generalDiagnostics"]:
        place = (Path(message["file"]).name, message["range"]["start"]["line"] + 1)
        found.setdefault(place, set()).add(message.get("rule", "syntax"))
    return found


def differences(wanted: Mapping[Place, set[str]], found: Mapping[Place, set[str]]) -> list[str]:
    """What is expected and not found, found and not expected, or another error than expected."""
    lines = []
    for name, number in sorted(wanted.keys() | found.keys()):
        hoped, got = wanted.get((name, number), set()), found.get((name, number), set())
        if not got or not got <= hoped:
            hope = " or ".join(sorted(hoped)) or "no error"
            lines.append(f"{name}:{number} expects {hope}, got {' '.join(sorted(got)) or 'none'}")
    return lines


def _run(command: list[str], folder: Path) -> str:
    """Both checkers end with 1 when they found errors, and with more when they could not check."""
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    if run.returncode > 1:
        raise AssertionError(f"{' '.join(command)} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    return run.stdout
