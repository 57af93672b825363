"""Images that cannot be pulled where there is no registry: made here, from Debian's packages and our own programs."""

import hashlib
import io
import json
import platform
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.programs import run

SUITE = "bookworm"
BOOTSTRAP_LIMIT = 20 * 60.0
IMPORT_LIMIT = 5 * 60.0
PREFIX = "bootstrapping-"
# What no image has a use for.
LEFT_OUT: Sequence[str] = (
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/locale/*",
)


@dataclass(frozen=True)
class Base:
    """A file system to build images from, by its Debian packages."""

    name: str
    packages: Sequence[str]

    @property
    def tag(self) -> str:
        return f"atoll-test/{self.name}:{SUITE}"

    @property
    def file(self) -> str:
        """Names its content, so that another list of packages is another file."""
        recipe = json.dumps([SUITE, list(self.packages), list(LEFT_OUT)])
        return f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.tar"


BASES: Mapping[str, Base] = {
    # They stand in for python:3.11-slim and node:18-slim.
    "python": Base("python", ["ca-certificates", "python3", "python3-venv"]),
    "node": Base("node", ["ca-certificates", "nodejs"]),
}


def bootstrap(cache: Path, base: Base, say: Callable[[str], None]) -> Path:
    """The tar file of a base's file system: made by debootstrap in a minute or two, then cached."""
    made = cache / base.file
    if made.exists():
        return made
    begun = time.monotonic()
    say(f"bootstrapping {base.tag}")
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=PREFIX, dir=cache))
    root, archive = unfinished / "root", unfinished / "root.tar"
    try:
        # What it mounts is gone with its namespace, even if it is killed.
        command = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={','.join(base.packages)}"]
        run([*command, SUITE, root], within=BOOTSTRAP_LIMIT)
        left_out = [f"--exclude=./{pattern}" for pattern in LEFT_OUT]
        tar = ["tar", "--create", f"--file={archive}", "--numeric-owner", *left_out, f"--directory={root}", "."]
        run(tar, within=300)
        archive.rename(made)
    finally:
        shutil.rmtree(unfinished)
    say(f"bootstrapped {base.tag} in {time.monotonic() - begun:.0f} s")
    return made


def archive_of_program(program: Path, tag: str) -> bytes:
    """An image archive, as `docker save` writes one, of a single static program."""
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    configuration = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "configuration.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    files = {"configuration.json": _json(configuration), "layer.tar": layer, "manifest.json": _json(manifest)}
    return _tar(files, mode=0o644)


def _tar(files: Mapping[str, bytes], *, mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
