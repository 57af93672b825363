"""The wheelhouse: every package of the lock as a file, so that an image is built without a network."""

import importlib.metadata
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from atoll.errors import BAD_LOCK, PIP_MISSING, WHEELS_FAILED
from atoll.kubernetes.build import run
from atoll.kubernetes.lock import Locked

_GLIBC = 36
"""The newest minor version of glibc 2 that bases have; a wheel names the oldest that it needs."""
_MACHINES: Mapping[str, str] = {"amd64": "x86_64", "arm64": "aarch64", "x86_64": "x86_64", "aarch64": "aarch64"}


async def fetch_wheels(
    lock: Sequence[Locked], place: str, python: str, folder: Path, variables: Mapping[str, str]
) -> None:
    """Fill the folder with just the wheels that the lock names. Raises AtollError PIP_MISSING, WHEELS_FAILED.

    python: of the image, such as "3.13". place: of the lock, for the error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if _is_complete(lock, folder):
        return
    requirements = folder.parent / "wheels.txt"
    requirements.write_text("".join(f"{each}\n" for each in lock))
    machine = _MACHINES.get(platform.machine(), platform.machine())
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    await _pip(
        [
            *("download", "--only-binary", ":all:", "--require-hashes", "--requirement", str(requirements)),
            *("--python-version", python, "--implementation", "cp"),
            *(part for each in platforms for part in ("--platform", each)),
            *("--dest", str(folder)),
        ],
        place,
        variables,
    )
    wanted = _hashes(lock)
    for wheel in folder.glob("*.whl"):
        if _hash(wheel) not in wanted:
            wheel.unlink()


async def own_wheel(folder: Path, variables: Mapping[str, str]) -> Locked:
    """atoll itself, for a lock without it: made from the checkout that is installed here.

    Raises AtollError BAD_LOCK if there is none, PIP_MISSING, WHEELS_FAILED.
    """
    checkout = _checkout()
    if checkout is None:
        raise BAD_LOCK.error(reason="it lacks atoll", do="add atoll to the project's dependencies, and lock it again")
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "made-from"
    fingerprint = _fingerprint(checkout)
    if not mark.is_file() or mark.read_text() != fingerprint:
        for old in folder.glob("*.whl"):
            old.unlink()
        made = ["wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(checkout)]
        await _pip(made, str(checkout), variables)
        mark.write_text(fingerprint)
    wheel = next(folder.glob("*.whl"))
    return Locked("atoll", wheel.name.split("-")[1], (_hash(wheel),))


async def _pip(arguments: Sequence[str], place: str, variables: Mapping[str, str]) -> None:
    """Run our own interpreter's, which the extra `kubernetes` has, with the user's configuration of it.

    place: whose packages are wanted. Raises AtollError PIP_MISSING, WHEELS_FAILED.
    """
    if find_spec("pip") is None:
        raise PIP_MISSING.error(python=sys.executable)
    command, *rest = arguments
    options = ("--disable-pip-version-check", "--no-input", "--no-deps")
    status, lines = await run([sys.executable, "-m", "pip", command, *options, *rest], variables)
    if status:
        raise WHEELS_FAILED.error(lock=place, reason=f"pip ended with {status}", detail="\n".join(lines[-8:]))


def found_wheels(lock: Sequence[Locked], folder: Path) -> Mapping[str, str]:
    """The hash of the very file of each package that is in the folder, by the package's name."""
    found = {_hash(wheel) for wheel in folder.glob("*.whl")}
    return {each.name: digest for each in lock for digest in each.hashes if digest in found}


def _checkout() -> Path | None:
    """Where atoll is installed from, if that is a folder of source."""
    written = importlib.metadata.distribution("atoll").read_text("direct_url.json")
    if not written:
        return None
    url = urlsplit(json.loads(written)["url"])
    folder = Path(unquote(url.path))
    return folder if url.scheme == "file" and (folder / "pyproject.toml").is_file() else None


def _fingerprint(checkout: Path) -> str:
    digest = sha256()
    files = [checkout / "pyproject.toml", *checkout.glob("src/**/*")]
    for file in sorted(each for each in files if each.is_file() and "__pycache__" not in each.parts):
        digest.update(str(file.relative_to(checkout)).encode() + sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _is_complete(lock: Sequence[Locked], folder: Path) -> bool:
    """Whether each package has a wheel there, and there is nothing else."""
    found = {_hash(wheel) for wheel in folder.glob("*.whl")}
    return len(found) == len(lock) and all(found & set(each.hashes) for each in lock)


def _hashes(lock: Sequence[Locked]) -> set[str]:
    return {each for locked in lock for each in locked.hashes}


def _hash(wheel: Path) -> str:
    return f"sha256:{sha256(wheel.read_bytes()).hexdigest()}"
