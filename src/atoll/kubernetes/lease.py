"""One at a time brings a namespace to something else, and what was left halfway is known: a Lease that says so."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from atoll.errors import CLUSTER_UNREACHABLE, DEPLOYING, TAKEN_OVER, AtollError
from atoll.kubernetes.client import Api
from atoll.kubernetes.names import Object, Target, metadata
from atoll.kubernetes.objects import Key, mapping

LEASE = Key("Lease", "atoll-deploying")
LASTS = 60
"""Seconds after which a holder that renews it no more is taken for gone."""

_RENEW = 10.0
_COMPONENT = "lease"
_BACK_TO = "atoll.dev/back-to"
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Terms:
    """who: holds it. back_to: the number of the revision that a rollback brings back if it is left halfway; 0: none."""

    who: str
    back_to: int


def lease_object(target: Target, terms: Terms, now: datetime) -> Object:
    """As it is taken. Touches nothing."""
    described = metadata(target, LEASE.name, _COMPONENT)
    described["annotations"] = {_BACK_TO: str(terms.back_to)}
    time = now.strftime(_TIME)
    spec = {"holderIdentity": terms.who, "leaseDurationSeconds": LASTS, "acquireTime": time, "renewTime": time}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": described, "spec": spec}


def held_by(lease: Object, now: datetime) -> str:
    """Who holds it; "" if nobody does, or who did is gone. Touches nothing."""
    spec = mapping(lease, "spec")
    renewed = datetime.strptime(str(spec["renewTime"]), _TIME).replace(tzinfo=UTC)
    is_fresh = (now - renewed).total_seconds() < LASTS
    return str(spec.get("holderIdentity") or "") if is_fresh else ""


def back_to(lease: Object | None) -> int | None:
    """The revision to go back to from what was left halfway; None if nothing was. Touches nothing."""
    return None if lease is None else int(str(mapping(lease, "metadata", "annotations").get(_BACK_TO, 0)))


class Holding:
    """A Lease that is held: it ends when what it was taken for is done, and stays, held by nobody, if that is not."""

    def __init__(self, api: Api, lease: Object) -> None:
        self._api = api
        self._lease = lease
        self._writing = asyncio.Lock()

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns, which is cancelled if the Lease is lost. Raises AtollError TAKEN_OVER then."""
        working, renewing = asyncio.ensure_future(work), asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                # It ends by an error alone.
                renewing.result()
            found = working.result()
        except BaseException as error:
            await _ended(working, renewing)
            if not (isinstance(error, AtollError) and error.problems[0].code == TAKEN_OVER.code):
                # If it can't be given back, it is taken for left in a minute.
                with suppress(AtollError):
                    await self._write(holderIdentity="")
            raise
        await _ended(renewing)
        await self._api.delete(LEASE)
        return found

    async def confirm(self) -> None:
        """Before something that only who holds it may do. Raises AtollError TAKEN_OVER."""
        if not await self._write(renewTime=datetime.now(UTC).strftime(_TIME)):
            raise TAKEN_OVER.error(namespace=self._api.namespace)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW)
            try:
                await self.confirm()
            except AtollError as error:
                # The work itself says so, if it lasts.
                if error.problems[0].code != CLUSTER_UNREACHABLE.code:
                    raise

    async def _write(self, **spec: object) -> bool:
        # One after the other, for each write needs the version that the one before it made.
        async with self._writing:
            written = await self._api.replace({**self._lease, "spec": {**mapping(self._lease, "spec"), **spec}})
            self._lease = written or self._lease
            return written is not None


async def take(api: Api, target: Target, terms: Terms, *, is_forced: bool) -> Holding:
    """The Lease of the namespace. Raises AtollError DEPLOYING while another holds it, unless it is forced."""
    now = datetime.now(UTC)
    wanted = lease_object(target, terms, now)
    there = await api.get(LEASE)
    if there is None:
        made = await api.create(wanted)
    elif held_by(there, now) and not is_forced:
        made = None
    else:
        version = mapping(there, "metadata")["resourceVersion"]
        made = await api.replace({**wanted, "metadata": {**mapping(wanted, "metadata"), "resourceVersion": version}})
    if made is None:
        spec = mapping(there or await api.get(LEASE), "spec")
        who = str(spec.get("holderIdentity") or "another")
        raise DEPLOYING.error(
            system=target.system, namespace=api.namespace, who=who, since=str(spec.get("acquireTime", "now"))[:19]
        )
    return Holding(api, made)


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
