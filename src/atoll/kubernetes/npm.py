"""The packages of a service in Node.js as a cache of npm's, so that an image is built without a network."""

import platform
import shutil
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from atoll.errors import NPM_FAILED
from atoll.kubernetes.build import run
from atoll.kubernetes.image import NODE_SOURCES, Image
from atoll.kubernetes.package_lock import LOCK, PACKAGE

_PROCESSORS: Mapping[str, str] = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
# Files by their hashes, in which npm looks for what a lock names before it asks anybody.
_CONTENT = "_cacache/content-v2"
_LAST_LINES = 8


async def fetch_packages(image: Image, folder: Path, variables: Mapping[str, str]) -> Path:
    """A folder with the cache for this image's lock, fetched once. Raises AtollError NPM_FAILED.

    folder: of all such caches. The registry is that of the user's own npm, and so are its credentials.
    """
    # As the user wrote them: with the addresses that npm is to fetch from.
    files = {name: image.files[f"{NODE_SOURCES}/{name}"] for name in (PACKAGE, LOCK)}
    place = folder / sha256(b"\0".join(files.values())).hexdigest()[:16]
    if place.is_dir():
        return place
    npm = shutil.which("npm", path=variables.get("PATH"))
    if npm is None:
        do = "install npm: it fetches once what package-lock.json names; the build itself needs no network"
        raise NPM_FAILED.error(service=image.name, reason="npm was not found", do=do)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        project, cache = Path(name) / "project", Path(name) / "cache"
        project.mkdir()
        for path, content in files.items():
            (project / path).write_bytes(content)
        # For the machine that it will run on. Nothing of the packages runs here.
        processor = _PROCESSORS.get(platform.machine(), platform.machine())
        status, lines = await run(
            [
                *(npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"),
                *(f"--prefix={project}", f"--cache={cache}", "--os=linux", f"--cpu={processor}"),
            ],
            variables,
        )
        if status:
            do, detail = "see above what npm says", "\n".join(lines[-_LAST_LINES:])
            raise NPM_FAILED.error(service=image.name, reason=f"npm ended with {status}", do=do, detail=detail)
        made = Path(name) / "made"
        shutil.copytree(cache / _CONTENT, made / _CONTENT)
        made.rename(place)
    return place
