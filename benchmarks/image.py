"""`atoll build` after a line of one service was changed, as a developer waits for it, and how large an image is.

Needs docker with a daemon: DOCKER_HOST, or the usual one. The base is the boutique's; where the tests' own base is
there, which needs no network, it is that.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Missing, Result
from benchmarks.processes import ROOT

SHOP = ROOT / "examples" / "shop"
SERVICE = "checkout"
CHANGED = Path("shop") / "checkout" / "service.py"
TEST_BASE, BASE = "atoll-test/python:bookworm", "python:3.13-slim-bookworm"
WITHIN = 400


def run(rounds: int) -> Result:
    """Raises Missing where there is no docker."""
    docker = shutil.which("docker")
    if docker is None:
        raise Missing("docker is not on the PATH")
    asked = subprocess.run([docker, "info"], capture_output=True, text=True, timeout=30, check=False)
    if asked.returncode:
        raise Missing(f"docker finds no daemon (DOCKER_HOST says where one is): {asked.stderr.strip()}")
    is_test = bool(_output(docker, "images", "--quiet", TEST_BASE))
    samples: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "shop"
        shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
        environment = "test" if is_test else "production"
        _build(docker, folder, environment)
        reference = ""
        for number in range(rounds):
            with (folder / CHANGED).open("a") as file:
                file.write(f"\n# Changed in round {number} of {time.time()}.\n")
            begun = time.perf_counter()
            reference = _build(docker, folder, environment)
            samples.append(time.perf_counter() - begun)
    figures = {
        "rebuild_seconds": round(statistics.median(samples), 2),
        "megabytes": round(_size(docker, reference), 1),
        "megabytes_over_base": round(_size(docker, reference) - _size(docker, TEST_BASE if is_test else BASE), 1),
    }
    return Result("image", "seconds to rebuild", {"atoll": samples}, smaller_is_better=True, figures=figures)


def _build(docker: str, folder: Path, environment: str) -> str:
    """The reference of the service's image."""
    command = [sys.executable, "-m", "atoll.cli.main", "build", SERVICE, "--json", "--builder", docker]
    variables = {**os.environ, "PYTHONPATH": str(folder)}
    built = subprocess.run(
        [*command, "--environment", environment],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    if built.returncode:
        raise RuntimeError(built.stdout + built.stderr)
    return str(json.loads(built.stdout)[SERVICE])


def _size(docker: str, reference: str) -> float:
    """Megabytes, unpacked."""
    return int(_output(docker, "image", "inspect", "--format={{.Size}}", reference)) / 1e6


def _output(docker: str, *arguments: str) -> str:
    return subprocess.run([docker, *arguments], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
