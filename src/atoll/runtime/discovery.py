"""Which endpoints the address of a service stands for."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to connect to.

    host: an IP address, or "" where `path` is the Unix socket. base: put before every path.
    authority: the Host header's value. server: the name its certificate must have; "" for no TLS.
    """

    host: str
    port: int
    path: str
    authority: bytes
    base: bytes
    server: str

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """An address as declared: "http://host:port", "https://host/base" or "unix:/path".

    A host name stands for every replica behind it, so it has to be looked up; `endpoint` is there where it need not.
    """

    host: str
    port: int
    authority: bytes
    base: bytes
    secure: bool
    endpoint: Endpoint | None

    def at(self, ip: str) -> Endpoint:
        """The replica at one of the IP addresses of the host."""
        return Endpoint(ip, self.port, "", self.authority, self.base, self.host if self.secure else "")


def read_address(text: str) -> Address:
    """Raises ValueError where it is no address of a service."""
    if text.startswith("unix:"):
        # The Host header is a must; over a Unix socket every name is right.
        endpoint = Endpoint("", 0, text.removeprefix("unix:"), b"localhost", b"", "")
        return Address("", 0, b"localhost", b"", False, endpoint)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is not like http://host:port, https://host or unix:/path")
    secure = parts.scheme == "https"
    authority, base = parts.netloc.rpartition("@")[2].encode("idna"), parts.path.rstrip("/").encode()
    address = Address(parts.hostname, parts.port or (443 if secure else 80), authority, base, secure, None)
    if not _is_ip(parts.hostname):
        return address
    return Address(address.host, address.port, authority, base, secure, address.at(parts.hostname))


async def look_up(addresses: Sequence[Address]) -> tuple[list[Endpoint], list[str]]:
    """Every endpoint that the addresses stand for now, and the host names that were not found."""
    loop = asyncio.get_running_loop()
    found: list[Endpoint] = []
    missing: list[str] = []
    for address in addresses:
        if address.endpoint is not None:
            found.append(address.endpoint)
            continue
        try:
            infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except OSError:
            missing.append(address.host)
            continue
        found += [address.at(str(info[4][0])) for info in infos]
    return list(dict.fromkeys(found)), missing


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
