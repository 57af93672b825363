"""The description of tests/system/sample, read as `atoll run` reads it."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import msgspec

from atoll.wire.description import Description

FOLDER = Path(__file__).parent.parent / "system" / "sample"


@cache
def sample() -> Description:
    command = [sys.executable, "-m", "atoll.runtime.describe", "sample.system:system", "--folder", str(FOLDER)]
    found = subprocess.run(command, capture_output=True, check=True, timeout=30)
    description = msgspec.json.decode(found.stdout, type=Description)
    assert description.problems == ()
    return description
