"""The revisions of a system that its namespace keeps: listed, read, kept, and forgotten."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from atoll.errors import NO_REVISION, AtollError
from atoll.kubernetes.client import Api
from atoll.kubernetes.names import Object, Target
from atoll.kubernetes.objects import Key, key_of, mapping
from atoll.kubernetes.revision import (
    LABEL,
    PIECE,
    Built,
    Entry,
    Revision,
    entry_of,
    kinds_of,
    name_of,
    outdated,
    read_revision,
    revision_objects,
)

_KIND = "ConfigMap"


class History:
    """Of one system in one namespace."""

    def __init__(self, api: Api, target: Target) -> None:
        self._api = api
        self._target = target
        self._labels = f"{LABEL},app.kubernetes.io/part-of={target.system}"

    async def entries(self) -> list[Entry]:
        """Those that are kept, the oldest first."""
        found = await self._api.all(_KIND, f"{self._labels},!{PIECE}", is_bare=True)
        return sorted((entry_of(each) for each in found), key=lambda each: each.number)

    async def read(self, entry: Entry) -> Revision:
        """Raises AtollError NO_REVISION, if it was forgotten or lost a piece meanwhile."""
        keys = [Key(_KIND, name_of(entry.number, piece)) for piece in range(1, entry.pieces + 1)]
        found = await asyncio.gather(*(self._api.get(key) for key in keys))
        pieces = [each for each in found if each is not None]
        if len(pieces) < len(keys):
            raise self.lacks(entry.number, await self.entries())
        return read_revision(pieces)

    async def kinds(self) -> frozenset[str]:
        """Of all that was deployed last; none where nothing is known of that."""
        kept = await self.entries()
        try:
            last = await self.read(kept[-1]) if kept else None
        except AtollError as error:
            if error.problems[0].code != NO_REVISION.code:
                raise
            last = None
        return kinds_of(last.parts) if last else frozenset()

    def lacks(self, wanted: object, kept: Sequence[Entry]) -> Exception:
        """AtollError NO_REVISION."""
        return NO_REVISION.error(
            has=[str(each.number) for each in reversed(kept)],
            system=self._target.system,
            wanted=wanted,
            namespace=self._api.namespace,
        )

    async def keep(self, parts: Mapping[str, Sequence[Object]], built: Mapping[str, Built], note: str) -> int:
        """As the next revision, and forget what is older than the last few; its number."""
        numbers = [each.number for each in await self.entries()]
        number = max(numbers, default=0) + 1
        made = datetime.now(UTC).isoformat(timespec="seconds")
        whole = {part: list(each) for part, each in parts.items()}
        for each in revision_objects(self._target, Revision(number, made, note, whole, dict(built))):
            await self._api.apply(each)
        old = {str(each) for each in outdated([*numbers, number])}
        if old:
            for each in await self._objects():
                if mapping(each, "metadata", "labels")[LABEL] in old:
                    await self._api.delete(key_of(each))
        return number

    async def keys(self) -> list[Key]:
        """Of all that it lies in."""
        return [key_of(each) for each in await self._objects()]

    async def _objects(self) -> list[Object]:
        return await self._api.all(_KIND, self._labels, is_bare=True)
