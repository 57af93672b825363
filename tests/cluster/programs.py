"""Programs from outside Python, run to their end."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")

# Debian keeps what only an administrator needs in sbin, which is not on everybody's PATH.
PATH = os.pathsep.join(["/usr/sbin", "/usr/bin", "/sbin", "/bin"])
TAIL = 30
TRIES = 3
AGAIN_AFTER = 5.0
"""Seconds between two of them."""


class Failed(Exception):
    """A program ended with an error; its last lines are the message."""


def find(name: str) -> str | None:
    """Debian's program of this name, else another on the PATH."""
    return shutil.which(name, path=PATH) or shutil.which(name)


def run(
    command: Sequence[str | Path],
    *,
    within: float = 60.0,
    stdin: str | IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """What a program says on its standard output. Raises Failed on an error, or after `within` seconds.

    environment: added to ours.
    """
    try:
        ended = subprocess.run(
            command,
            **({"input": stdin} if isinstance(stdin, str) else {"stdin": stdin or subprocess.DEVNULL}),
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{_line(command)}\ndid not end within {within:g} s") from error
    if ended.returncode:
        said = (ended.stdout + ended.stderr).splitlines()[-TAIL:]
        raise Failed("\n".join([f"{_line(command)}\nended with {ended.returncode}", *said]))
    return ended.stdout


def persistently(fetch: Callable[[], T]) -> T:
    """What a program that fetches brings, in one of three tries: each goes on with what the one before has brought."""
    for _ in range(TRIES - 1):
        with suppress(Failed):
            return fetch()
        time.sleep(AGAIN_AFTER)
    return fetch()


def piped(
    first: Sequence[str | Path], second: Sequence[str | Path], *, within: float, environment: Mapping[str, str]
) -> None:
    """Run two programs, where the second reads what the first says. Raises Failed if either does."""
    with tempfile.TemporaryFile() as errors:
        feeding = subprocess.Popen(
            first, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, **environment}
        )
        try:
            run(second, within=within, stdin=feeding.stdout)
            code = feeding.wait(within)
        finally:
            feeding.kill()
            feeding.communicate()
        if code:
            errors.seek(0)
            raise Failed(f"{_line(first)}\nended with {code}\n{errors.read().decode(errors='replace')}")


def _line(command: Sequence[str | Path]) -> str:
    line = " ".join(map(str, command))
    return line if len(line) <= 500 else f"{line[:500]}…"
