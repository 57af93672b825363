"""Packages of npm that tests need: fetched once from a lock with hashes, and kept outside the repository."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.conftest import find_program

HOME = Path("/var/tmp/atoll-npm")
WITHIN = 120.0


def installed(declared: Path) -> Path:
    """The `node_modules` of a folder with package.json and package-lock.json; of the same lock always the same one.

    Skips where npm is missing, and fails in CI.
    """
    npm = find_program("npm")
    parts = [(declared / name).read_bytes() for name in ("package.json", "package-lock.json")]
    kept = HOME / hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    HOME.mkdir(exist_ok=True)
    with (HOME / f"{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes come at once; it ends with this block
        if not kept.exists():
            _fetch(npm, declared, kept)
    return kept / "node_modules"


def _fetch(npm: str, declared: Path, kept: Path) -> None:
    """All or nothing: a folder that is there is whole."""
    with tempfile.TemporaryDirectory(dir=HOME) as made:
        folder = Path(made) / "whole"
        shutil.copytree(declared, folder)
        # No script of a package runs, and its registry is the one that this machine is configured with.
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        result = subprocess.run(
            command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=WITHIN, check=False
        )
        if result.returncode:
            raise RuntimeError(f"npm can't fetch what {declared / 'package-lock.json'} names:\n{result.stderr}")
        folder.rename(kept)
