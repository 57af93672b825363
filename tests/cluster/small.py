"""A small system of one service of each kind, with what must not get into an image lying beside it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.docker import Docker
from tests.cluster.programs import run

LOCK = Path(__file__).parents[2] / "requirements" / "demo.txt"
# What a service needs of it; atoll itself is added by the build.
PACKAGES = ("asyncpg", "httptools", "msgspec", "nats-py", "uvloop")
SECRET = "not-for-any-image"
WITHIN = 300.0

FILES: Mapping[str, str] = {
    "pyproject.toml": '[tool.atoll]\nsystem = "small.system:small"\n',
    ".env": f"TOKEN={SECRET}\n",
    ".gitignore": "id_rsa\nsecrets/\n",
    "small/__init__.py": "",
    "small/system.py": """\
from atoll import Process, Service, System

from small.greet.service import Greet
from small.clock.service import Clock

small = System("small", services=[
    Service("greet", Greet),
    Service("clock", Clock),
    Process("own", ["/app/start.sh"], directory="own", port=9100),
    Process("web", ["node", "server.js"], directory="web", port=9200),
])
""",
    "small/greet/__init__.py": "",
    "small/greet/service.py": """\
from atoll import get

class Greet:
    @get("/greet/{name}")
    async def greet(self, name: str) -> str:
        return f"Hello, {name}"
""",
    "small/greet/words.txt": "Hello",
    "small/greet/.env": f"TOKEN={SECRET}\n",
    "small/greet/id_rsa": SECRET,
    "small/greet/example.p12": "a store of keys for an example",
    "small/greet/tests/test_greet.py": f"SECRET = '{SECRET}'\n",
    "small/clock/__init__.py": "",
    "small/clock/service.py": """\
import time

from atoll import get

class Clock:
    @get("/time")
    async def time(self) -> float:
        return time.time()
""",
    "small/own/Dockerfile": "FROM atoll-test/python:bookworm\nWORKDIR /app\n"
    # It may fetch what it likes: it finds a network.
    "RUN grep -q eth0 /proc/net/dev\nCOPY . .\nUSER 10001:10001\n",
    "small/own/.dockerignore": "notes\n",
    "small/own/.env.production": f"TOKEN={SECRET}\n",
    "small/own/.version": "1\n",
    "small/own/notes": SECRET,
    "small/own/secrets/prod.txt": SECRET,
    "small/own/server.py": "print('own')\n",
    "small/own/start.sh": "#!/bin/sh\nexec python3 /app/server.py\n",
    "small/web/package.json": json.dumps({"name": "web", "version": "1.0.0", "private": True}),
    "small/web/server.js": """\
const { createServer } = require("node:http");
const ms = require("ms");
createServer((_, answer) => answer.end(String(ms("2 days")))).listen(9200);
""",
    "small/web/server.test.js": f"const secret = '{SECRET}';\n",
    "small/web/secrets/prod.txt": SECRET,
    "small/web/.env": f"TOKEN={SECRET}\n",
}
EXECUTABLE = "small/own/start.sh"
DEPENDENCY = "ms@2.1.3"


@dataclass(frozen=True)
class Small:
    """A copy of it in a folder."""

    folder: Path
    docker: Docker

    @classmethod
    def written(cls, folder: Path, docker: Docker, environment: str, package_lock: Path) -> "Small":
        """environment: the text of environments/test.toml. package_lock: of `web`, with its package.json beside it."""
        for path, content in FILES.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        (folder / EXECUTABLE).chmod(0o755)
        (folder / "requirements.txt").write_text(lock(LOCK.read_text()))
        place = folder / "small" / "environments" / "test.toml"
        place.parent.mkdir()
        place.write_text(environment)
        for name in ("package.json", "package-lock.json"):
            (folder / "small" / "web" / name).write_bytes(package_lock.with_name(name).read_bytes())
        return cls(folder, docker)

    def atoll(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """What the command prints. Raises programs.Failed with all that it says."""
        variables = {**os.environ, **self.docker.environment, "PYTHONPATH": str(self.folder), **(environment or {})}
        command = [sys.executable, "-m", "atoll.cli.main", *arguments, "-e", "test"]
        return run(command, within=WITHIN, environment=variables, folder=self.folder)

    def build(self, *arguments: str) -> dict[str, str]:
        """The references of the images by name."""
        built: dict[str, str] = json.loads(self.atoll("build", "--json", "--builder", self.docker.program, *arguments))
        return built

    @property
    def built(self) -> Path:
        """Where contexts and software lists are."""
        return self.folder / "small" / ".atoll" / "build" / "small"

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))


def lock(text: str) -> str:
    """Of a whole lock, what services need. Touches nothing."""
    entries = re.findall(r"^\S.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    wanted = [each for each in entries if re.match(r"[\w-]+", each)[0] in PACKAGES]  # type: ignore[index]
    assert len(wanted) == len(PACKAGES)
    return "".join(wanted)


def make_package_lock(npm: str, folder: Path) -> Path:
    """A package.json with one dependency, and npm's lock of it."""
    (folder / "package.json").write_text(FILES["small/web/package.json"])
    command = [npm, "install", "--package-lock-only", "--no-audit", "--no-fund", DEPENDENCY]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder / "package-lock.json"
