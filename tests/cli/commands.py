"""The command line, run in a process of its own."""

import subprocess
import sys
from pathlib import Path


def atoll(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "atoll.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=40, check=False)
