"""One at a time brings a namespace to something else, and what was left halfway is known: a Lease that says so."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

from atoll.errors import CLUSTER_REFUSED, CLUSTER_UNREACHABLE, DEPLOYING, TAKEN_OVER, AtollError
from atoll.kubernetes.client import Api
from atoll.kubernetes.names import Object, Target, metadata
from atoll.kubernetes.objects import Key, mapping

LEASE = Key("Lease", "atoll-deploying")
LASTS = 60
"""Seconds after which a holder that renews it no more is taken for gone."""

_RENEW = 10.0
_STOPS = 2.0
"""Seconds that one has for ending what it does when it is told that another took over."""

_TRIES = 5
"""So often it is written while others write it at the same moment."""

_COMPONENT = "lease"
_BACK_TO = "atoll.dev/back-to"
_TAKEN_BY = ("holderIdentity", "acquireTime")
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

T = TypeVar("T")
Confirm: TypeAlias = Callable[[], Awaitable[None]]


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
    """A Lease that is held: it ends when what it was taken for is done, and stays, held by nobody, if that is not.

    before: the Lease as it was found, which it becomes again if nothing was begun; None if there was none.
    settling: seconds until nobody is at it any more whom it was taken from.
    until: when it may be another's, by the clock of the loop.
    """

    def __init__(self, api: Api, lease: Object, before: Object | None, settling: float, until: float) -> None:
        self._api = api
        self._lease = lease
        self._before = before
        self._settling = settling
        self._is_begun = False
        self._until = until
        self._writing = asyncio.Lock()

    @property
    def left(self) -> int | None:
        """The revision to go back to from what another left halfway; None if nobody did."""
        return back_to(self._before)

    async def during(self, work: Callable[[Confirm], Coroutine[Any, Any, T]]) -> T:
        """What the work returns, which is cancelled if the Lease is lost. Raises AtollError TAKEN_OVER then.

        work: is given what to call before anything that only who holds the Lease may do.
        """
        working, renewing = asyncio.ensure_future(self._alone(work)), asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                # It ends by an error alone.
                renewing.result()
            found = working.result()
        except BaseException as error:
            await _ended(working, renewing)
            if not _is_taken_over(error):
                # If it can't be given back, it is taken for left in a minute.
                with suppress(AtollError):
                    await self._give_back()
            raise
        await _ended(renewing)
        await self._remove()
        return found

    async def _alone(self, work: Callable[[Confirm], Coroutine[Any, Any, T]]) -> T:
        # Whom it was taken from goes on until it would renew it.
        await asyncio.sleep(self._settling)
        return await work(self._confirm)

    async def _confirm(self) -> None:
        await self._prolong()
        self._is_begun = True

    async def _renew(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(_RENEW)
            try:
                async with asyncio.timeout_at(self._until - _RENEW):
                    await self._prolong()
            except TimeoutError as error:
                reason = f"{LEASE} could not be renewed for {LASTS - _RENEW:g} s"
                raise CLUSTER_UNREACHABLE.error(address=self._api.address, reason=reason, detail=said) from error
            except AtollError as error:
                # Whatever stood in the way, nobody else takes it before it has run out.
                if _is_taken_over(error):
                    raise
                said = str(error)

    async def _prolong(self) -> None:
        await self._write({}, {})

    async def _give_back(self) -> None:
        if self._is_begun:
            await self._write({"holderIdentity": ""}, {})
        elif self._before is None:
            await self._remove()
        else:
            await self._write({"holderIdentity": ""}, {_BACK_TO: str(back_to(self._before))})

    async def _remove(self) -> None:
        """Unless another took it since it was renewed: theirs stays."""
        async with self._writing:
            for _ in range(_TRIES):
                if await self._api.delete_as_read(self._lease):
                    return
                there = await self._api.get(LEASE)
                if there is None or not _is_same(there, self._lease):
                    return
                self._lease = there

    async def _write(self, spec: Object, notes: Object) -> None:
        """With the time, by which it lasts. Raises AtollError TAKEN_OVER, if it is another's."""
        # One after the other, for each write needs the version that the one before it made.
        async with self._writing:
            for _ in range(_TRIES):
                began, renewed = asyncio.get_running_loop().time(), datetime.now(UTC).strftime(_TIME)
                written = await self._api.replace(_changed(self._lease, {"renewTime": renewed, **spec}, notes))
                if written is not None:
                    self._lease, self._until = written, began + LASTS
                    return
                # Others may label it; and a write of ours arrives whose answer does not.
                there = await self._api.get(LEASE)
                if there is None or not _is_same(there, self._lease):
                    raise TAKEN_OVER.error(namespace=self._api.namespace)
                self._lease = there
        raise CLUSTER_REFUSED.error(what=str(LEASE), reason="others change it again and again")


async def take(api: Api, target: Target, terms: Terms, *, is_forced: bool) -> Holding:
    """The Lease of the namespace. Raises AtollError DEPLOYING while another holds it, unless it is forced."""
    now, until = datetime.now(UTC), asyncio.get_running_loop().time() + LASTS
    wanted = lease_object(target, terms, now)
    # By force it is taken as well from who renews it at the same moment.
    for _ in range(_TRIES if is_forced else 1):
        before = await api.get(LEASE)
        another = "" if before is None else held_by(before, now)
        made = await _taken(api, wanted, before) if is_forced or not another else None
        if made is not None:
            return Holding(api, made, before, _RENEW + _STOPS if another else 0.0, until)
    spec = mapping(await api.get(LEASE), "spec")
    who, since = str(spec.get("holderIdentity") or "another"), str(spec.get("acquireTime", "now"))[:19]
    raise DEPLOYING.error(system=target.system, namespace=api.namespace, who=who, since=since)


async def _taken(api: Api, wanted: Object, before: Object | None) -> Object | None:
    """As it is there now; None if another was faster."""
    if before is None:
        made = await api.create(wanted)
    else:
        version = mapping(before, "metadata")["resourceVersion"]
        made = await api.replace({**wanted, "metadata": {**mapping(wanted, "metadata"), "resourceVersion": version}})
    if made is not None:
        return made
    # Or we were, and the answer was lost.
    there = await api.get(LEASE)
    return there if there is not None and _is_same(there, wanted) else None


def _changed(lease: Object, spec: Object, notes: Object) -> Object:
    described = mapping(lease, "metadata")
    annotations = {**mapping(described, "annotations"), **notes}
    return {
        **lease,
        "metadata": {**described, "annotations": annotations},
        "spec": {**mapping(lease, "spec"), **spec},
    }


def _is_same(lease: Object, ours: Object) -> bool:
    """Whether one and the same took both: by who, and when."""
    return all(mapping(lease, "spec").get(each) == mapping(ours, "spec")[each] for each in _TAKEN_BY)


def _is_taken_over(error: BaseException) -> bool:
    return isinstance(error, AtollError) and error.problems[0].code == TAKEN_OVER.code


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
