"""Which images their registry has already, so that no machine makes them again."""

import asyncio
import platform
from collections.abc import Mapping, Sequence

import msgspec

from atoll.kubernetes.build import Builder, run
from atoll.kubernetes.reference import Reference
from atoll.kubernetes.registry import machines_of

_PROCESSORS: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}
_AT_ONCE = 4
_PATIENCE = 30.0


class _Platform(msgspec.Struct, frozen=True):
    architecture: str = ""


class _Descriptor(msgspec.Struct, frozen=True):
    platform: _Platform = _Platform()


class _Manifest(msgspec.Struct, frozen=True):
    """What `docker manifest inspect --verbose` says of an image for one platform."""

    descriptor: _Descriptor = msgspec.field(name="Descriptor", default=_Descriptor())


async def published(names: Sequence[str], builder: Builder) -> frozenset[str]:
    """Those of the images that are at their registry for processors like ours.

    A tag stands for contents, but not for a processor: what a laptop of another kind has pushed is made again.
    Asked as anybody first, then by docker, which knows how its user logs in. What nobody says is taken to be missing.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    ours = _PROCESSORS.get(platform.machine(), platform.machine())

    async def has(name: str) -> bool:
        async with gate:
            found = await machines_of(name)
            return ours in (await _machines_by_docker(name, builder) if found is None else found)

    there = await asyncio.gather(*(has(name) for name in names))
    return frozenset(name for name, is_there in zip(names, there, strict=True) if is_there)


async def _machines_by_docker(name: str, builder: Builder) -> frozenset[str]:
    if builder.is_buildah:
        return frozenset()
    plain = ["--insecure"] if Reference.parsed(name).address.startswith("http:") else []
    try:
        async with asyncio.timeout(_PATIENCE):
            status, lines = await run(
                [builder.program, "manifest", "inspect", "--verbose", *plain, name], builder.environment
            )
        if status:
            return frozenset()
        found = msgspec.json.decode("\n".join(lines), type=list[_Manifest] | _Manifest)
    except (TimeoutError, msgspec.MsgspecError):
        return frozenset()
    return frozenset(each.descriptor.platform.architecture for each in (found if isinstance(found, list) else [found]))
