"""What engines need on this machine before they start: programs, folders, passwords, files."""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from atoll.engines.engine import Command, Engine, File, User
from atoll.errors import ENGINE_FAILED
from atoll.provision.issuer import new_key, public_keys
from atoll.provision.passwords import new_password
from atoll.supervisor.home import Home
from atoll.supervisor.process import Process

_LAST_LINES = 20
_PUBLIC = "issuer-keys.json"
# Debian and its like, Fedora's, openSUSE's, macOS and Alpine.
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def make_folders(home: Home) -> None:
    """The folders of a system. Only `secrets` holds what others may not read, and each engine closes its own."""
    home.state.mkdir(parents=True, exist_ok=True)
    for private in (home.secrets, home.state / "nats", home.state / "envoy"):
        private.mkdir(mode=0o700, exist_ok=True)
        private.chmod(0o700)
    for folder in ("routes", "clusters", "endpoints"):
        (home.state / "envoy" / folder).mkdir(exist_ok=True)
    for folder in ("prometheus/targets", "alertmanager"):
        (home.state / folder).mkdir(parents=True, exist_ok=True)
    home.logs.mkdir(exist_ok=True)


def secret(folder: Path, name: str) -> str:
    """A password of 256 random bits in a file of this name, made once and kept; only its owner can read it."""
    path = folder / name
    if not path.exists():
        made = File(path, new_password())
        write(made, durable=True)
    return path.read_text().strip()


def issuer_key(folder: Path) -> str:
    """The key that signs tokens for this machine, made once and kept; only its owner can read it."""
    path = folder / "issuer-key"
    if not path.exists():
        (folder / _PUBLIC).unlink(missing_ok=True)
        write(File(path, new_key()), durable=True)
    return path.read_text()


def issuer_keys(folder: Path) -> str:
    """The public half of it as a JWKS, kept as well: to work it out takes a tenth of a second at each start."""
    key, path = issuer_key(folder), folder / _PUBLIC
    if not path.exists():
        write(File(path, public_keys(key)))
    return path.read_text()


def find_certificates(variables: Mapping[str, str]) -> str:
    """The file of the authorities that this machine trusts, where its system or the shell says; "" for none."""
    places = (variables.get("SSL_CERT_FILE", ""), *_CERTIFICATES)
    return next((each for each in places if each and Path(each).is_file()), "")


def write(file: File, *, user: User | None = None, durable: bool = False) -> bool:
    """Put a file in its place by renaming, so that a reader sees all of it or the old one.

    user: who shall own it. durable: also after a power cut.
    Returns False, and writes nothing, if it is there already with this content.
    """
    path = Path(file.path)
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text() == file.content and stat.S_IMODE(path.stat().st_mode) == file.mode:
            return False
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "w") as opened:
        opened.write(file.content)
        os.fchmod(opened.fileno(), file.mode)
        if user is not None:
            os.fchown(opened.fileno(), user.uid, user.gid)
        if durable:
            opened.flush()
            os.fsync(opened.fileno())
    new.replace(path)
    return True


def write_files(engine: Engine) -> None:
    """Write the configuration of an engine, owned by whoever runs it."""
    for file in engine.files:
        write(file, user=engine.command.user)


async def check_envoy(program: Path, merged: str, folder: Path) -> None:
    """Let Envoy read a whole configuration before it is used. Raises ENGINE_FAILED with Envoy's own words."""
    file = File(folder / "check.json", merged)
    write(file)
    said: list[str] = []
    command = Command((str(program), "-c", str(file.path), "--mode", "validate", "-l", "error"), directory=folder)
    process = await Process.start("envoy", command, folder / "check.log", said.append)
    try:
        ended = await process.wait()
    finally:
        await process.kill()
    if ended.status != 0:
        raise ENGINE_FAILED.error(
            engine="Envoy",
            reason="its configuration is not valid",
            log=folder / "check.json",
            detail="\n".join(said[-_LAST_LINES:]),
        )
