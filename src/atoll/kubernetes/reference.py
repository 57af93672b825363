"""Names of images: their parts, the registry that is asked for them, and the name with a digest."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HUB = "docker.io"
_HUB_HOST = "index.docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """A name such as "python:3.13-slim" in full.

    registry: "docker.io" where none is written. path: "library/python". tag: "latest" where nothing is written,
    "" beside a digest.
    """

    registry: str
    path: str
    tag: str
    digest: str = ""

    @classmethod
    def parsed(cls, name: str) -> "Reference":
        bare, _, digest = name.partition("@")
        repository, tag = _parted(bare)
        registry, _, path = repository.partition("/")
        if not path or not (registry == "localhost" or "." in registry or ":" in registry):
            registry, path = _HUB, repository if "/" in repository else f"library/{repository}"
        return cls(registry, path, tag or ("" if digest else "latest"), digest)

    @property
    def address(self) -> str:
        """Where its registry is asked: without TLS on this machine alone, as docker does it."""
        if self.registry == _HUB:
            return f"https://{_HUB_HOST}"
        return f"{'http' if _is_loopback(self.registry) else 'https'}://{self.registry}"


@dataclass(frozen=True, slots=True)
class Base:
    """An image that others are made from, or run as it is.

    written: its name in the environment. digest: "" where none is known.
    """

    written: str
    digest: str = ""

    @property
    def name(self) -> str:
        """What is built from, or run: by its digest where that is known."""
        return f"{_parted(self.written)[0]}@{self.digest}" if self.digest else self.written


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def _parted(name: str) -> tuple[str, str]:
    """The repository, and the tag or "". A colon before the last slash is that of a port."""
    folder, slash, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    return folder + slash + repository, tag


def _is_loopback(registry: str) -> bool:
    host = urlsplit(f"//{registry}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
