"""A project's package-lock.json: the packages of a service in Node.js."""

import json
from collections.abc import Iterator, Mapping

from atoll.errors import BAD_LOCK, AtollError
from atoll.kubernetes.software import Package, integrity

PACKAGE, LOCK = "package.json", "package-lock.json"
_FOLDER = "node_modules/"
# No such place: a file whose hash is in the cache is not asked for.
_REGISTRY = "https://packages.invalid"


def read_package_lock(files: Mapping[str, bytes], place: str) -> tuple[Package, ...]:
    """The packages that run, without those for development only. files: of the service's folder, by path.

    place: of the folder, for the error. Raises AtollError BAD_LOCK if packages are wanted and no lock says which, or
    says it without a hash.
    """
    if LOCK not in files:
        if _json(files[PACKAGE], f"{place}/{PACKAGE}").get("dependencies"):
            raise _wrong(f"{place}/{PACKAGE}", f"it has dependencies, and there is no {LOCK} beside it")
        return ()
    document = _json(files[LOCK], f"{place}/{LOCK}")
    if not isinstance(document.get("packages"), dict):
        raise _wrong(f"{place}/{LOCK}", f"its version {document.get('lockfileVersion')} lists no packages")
    found = tuple(_package(path, each) for path, each in _installed(document))
    for each in found:
        if not each.hashes:
            raise _wrong(f"{place}/{LOCK}", f"{each.name} has no hash, as packages from a registry have")
    return found


def with_addresses(lock: bytes) -> bytes:
    """The lock with the address of each package: where it has one, npm takes the file by its hash from the cache.

    Nobody fetches anything from there; a lock leaves addresses out if npm is told to.
    """
    document = _json(lock, LOCK)
    for path, each in _installed(document):
        name = _name(path, each)
        file = f"{name.rpartition('/')[2]}-{each.get('version')}.tgz"
        each.setdefault("resolved", f"{_REGISTRY}/{name}/-/{file}")
    return json.dumps(document, indent=2).encode() + b"\n"


def _installed(document: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """document: {"packages": {"": …, "node_modules/a": {"version": "1.0.0", "integrity": "sha512-…"}, …}}."""
    packages = document.get("packages")
    for path, each in packages.items() if isinstance(packages, dict) else ():
        if _FOLDER in path and isinstance(each, dict) and not each.get("dev") and not each.get("link"):
            yield path, each


def _package(path: str, each: Mapping[str, object]) -> Package:
    is_optional = bool(each.get("optional") or each.get("devOptional"))
    hashes = integrity(str(each.get("integrity", "")))
    return Package("npm", _name(path, each), str(each.get("version", "")), hashes, is_optional)


def _name(path: str, each: Mapping[str, object]) -> str:
    """An alias is installed under another name than its own."""
    return str(each.get("name") or path.rpartition(_FOLDER)[2])


def _json(text: bytes, place: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _wrong(place, f"it is no JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _wrong(place: str, reason: str) -> AtollError:
    return BAD_LOCK.error(place, reason=reason, do="make it: npm install --package-lock-only")
