"""`atoll run` as a person starts it: a process of its own, in a copy of the sample."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.waiting import PATIENCE, until

SAMPLE = Path(__file__).parent / "sample" / "sample"
GATED = Path(__file__).parent / "gated" / "gated"
TARGET = "sample.system:system"


def copy_sample(folder: Path) -> Path:
    """A project folder with the sample in it."""
    shutil.copytree(SAMPLE, folder / "sample", ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    return folder


def copy_gated(folder: Path, jwks: str, api_keys: str) -> Path:
    """A project folder with the system whose gateway knows its callers: by these keys."""
    shutil.copytree(GATED, folder / "gated", ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    (folder / "gated" / "keys.json").write_text(jwks)
    (folder / "gated" / "environments").mkdir()
    (folder / "gated" / "environments" / "local.toml").write_text(f"[secrets]\napi-keys = {json.dumps(api_keys)}\n")
    return folder


def atoll(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Any command, to its end."""
    command = [sys.executable, "-m", "atoll.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)


def ask(url: str, *, method: str = "GET") -> tuple[int, str]:
    """Status and body; status 0 if nothing answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


class Run:
    """`atoll run --json`, with what it says."""

    def __init__(self, folder: Path, *options: str, target: str = TARGET) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "atoll.cli.main", "run", target, "--port", "0", "--json", *options]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
        )
        self.statuses: list[dict[str, Any]] = []
        self.lines: list[tuple[str, str]] = []
        self.problems: list[dict[str, Any]] = []
        self.other: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                self.other.append(line)
                continue
            if "status" in said:
                self.statuses.append(said["status"])
            elif "line" in said:
                self.lines.append((said["line"]["process"], said["line"]["text"]))
            else:
                self.problems += said["problems"]

    @property
    def status(self) -> dict[str, Any]:
        return self.statuses[-1]

    @property
    def url(self) -> str:
        return str(self.status["url"])

    def row(self, name: str) -> dict[str, Any]:
        rows: Sequence[dict[str, Any]] = self.status["processes"]
        return next(row for row in rows if row["name"] == name)

    def pids(self) -> dict[str, int]:
        return {row["name"]: row["pid"] for row in self.status["processes"] if row["pid"]}

    def ready(self) -> "Run":
        def happened() -> bool:
            assert self.process.poll() is None, f"it ended: {self.problems} {''.join(self.other)}"
            return bool(self.statuses) and bool(self.status["ready"])

        def why() -> str:
            rows = self.status["processes"] if self.statuses else []
            said = "\n".join(f"{name} | {text}" for name, text in self.lines[-30:])
            return f"{rows}\n{said}\n{''.join(self.other)}"

        until(happened, "all is ready", why=why)
        return self

    def until_back(self, name: str, old_pid: int) -> None:
        """Until another process has taken the place of this one, and everything is ready."""

        def happened() -> bool:
            return self.row(name)["pid"] not in (0, old_pid) and bool(self.status["ready"])

        until(happened, f"{name} is back")

    def said(self, text: str) -> bool:
        return any(text in line for _, line in self.lines)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Its exit status after the signal."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self) -> None:
        if self.process.poll() is None:
            self.interrupt()
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


def written(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Each file below it with its content, but for those that a running system takes away meanwhile."""
    for root, _, names in os.walk(folder):
        for path in (Path(root, name) for name in names):
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()


def alive(pids: Sequence[int]) -> list[int]:
    """Those that still run; zombies do not."""
    return [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
