"""The software list of an image: a CycloneDX document of the packages that are put in, with versions and hashes."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from packaging.utils import canonicalize_name

from atoll.kubernetes.names import Object
from atoll.kubernetes.reference import Base, Reference

_ALGORITHMS: Mapping[str, str] = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512", "sha1": "SHA-1"}


@dataclass(frozen=True, slots=True)
class Package:
    """One that is installed in an image.

    ecosystem: "pypi" or "npm". hashes: of the file that it comes from, "sha256:HEX".
    is_optional: whether it may be left out where its platform is another.
    """

    ecosystem: str
    name: str
    version: str
    hashes: tuple[str, ...] = ()
    is_optional: bool = False

    @property
    def url(self) -> str:
        """Its package URL, such as "pkg:npm/%40scope/name@1.0.0"."""
        name = canonicalize_name(self.name) if self.ecosystem == "pypi" else self.name
        return f"pkg:{self.ecosystem}/{quote(name)}@{quote(self.version, safe='')}"


@dataclass(frozen=True, slots=True)
class Software:
    """What is known to be in an image. bases: of its last stage. is_whole: whether nothing else is put in."""

    packages: tuple[Package, ...]
    bases: tuple[Base, ...]
    is_whole: bool


def document(name: str, tag: str, software: Software, version: str) -> bytes:
    """Of one image. version: of atoll. The same image gives the same bytes: there is no time and no number in it.

    Source: CycloneDX 1.6, and the package URL specification.
    """
    whole = f"{name}:{tag}"
    bases = [_base(each) for each in software.bases]
    components = [*bases, *(_package(each) for each in _sorted(software.packages))]
    inside = [str(each["bom-ref"]) for each in components]
    made: Object = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "atoll", "version": version}]},
            "component": {"type": "container", "bom-ref": whole, "name": name, "version": tag},
        },
        "components": components,
        "dependencies": [{"ref": whole, "dependsOn": inside}],
        "compositions": [
            {"aggregate": "complete" if software.is_whole else "unknown", "assemblies": [whole]},
            # What a base is made of is for its publisher to say.
            *({"aggregate": "unknown", "assemblies": [each["bom-ref"]]} for each in bases),
        ],
    }
    return json.dumps(made, indent=2).encode() + b"\n"


def integrity(text: str) -> tuple[str, ...]:
    """The hashes of npm's "sha512-BASE64 …" as "sha512:HEX"; what is none is left out."""
    found = []
    for each in text.split():
        algorithm, _, coded = each.partition("-")
        try:
            digest = base64.b64decode(coded.partition("?")[0], validate=True)
        except binascii.Error:
            continue
        if algorithm in _ALGORITHMS and digest:
            found.append(f"{algorithm}:{digest.hex()}")
    return tuple(found)


def _sorted(packages: Sequence[Package]) -> list[Package]:
    return [each for _, each in sorted({package.url: package for package in packages}.items())]


def _package(package: Package) -> Object:
    parts = [each.partition(":") for each in package.hashes]
    return {
        "type": "library",
        "bom-ref": package.url,
        "name": package.name,
        "version": package.version,
        **({"scope": "optional"} if package.is_optional else {}),
        **({"hashes": [{"alg": _ALGORITHMS[name], "content": digest} for name, _, digest in parts]} if parts else {}),
        "purl": package.url,
    }


def _base(base: Base) -> Object:
    """By its digest if that is known, for the meaning of a tag changes."""
    reference = Reference.parsed(base.written)
    path, tag, digest = reference.path, reference.tag, base.digest or reference.digest
    name = path.rpartition("/")[2]
    if digest:
        where = quote(f"{reference.registry}/{path}", safe="/")
        url = f"pkg:oci/{name}@{quote(digest, safe='')}?repository_url={where}"
        url += f"&tag={quote(tag, safe='')}" if tag else ""
    else:
        url = f"pkg:docker/{path}@{quote(tag, safe='')}"
        if reference.registry != "docker.io":
            url += f"?repository_url={quote(reference.registry, safe='')}"
    return {"type": "container", "bom-ref": url, "name": base.written, "version": digest or tag, "purl": url}
