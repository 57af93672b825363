"""A system in a cluster from one revision to the next: deployed, rolled back, or taken away."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from atoll.errors import CLUSTER_FORBIDS, CLUSTER_REFUSED, DEPLOYED_MEANWHILE, NEVER_WHOLE, AtollError
from atoll.kubernetes import deploy
from atoll.kubernetes.client import Api
from atoll.kubernetes.conflicts import Conflict, conflicts, skew
from atoll.kubernetes.deploy import Changes
from atoll.kubernetes.history import History
from atoll.kubernetes.lease import LEASE, Confirm, Holding, Terms, back_to, take
from atoll.kubernetes.names import MANAGER, NAMESPACE, Object, Target
from atoll.kubernetes.objects import Key, key_of, mapping
from atoll.kubernetes.render import objects
from atoll.kubernetes.revision import Built, Entry, Revision, built_of, kinds_of, previous
from atoll.kubernetes.rollout import is_complete
from atoll.kubernetes.scope import Parts, Scope, scope_of
from atoll.kubernetes.standing import gateway_key, url_of
from atoll.kubernetes.version import version_problem
from atoll.kubernetes.volumes import all_as_there
from atoll.kubernetes.waiting import Show

_LOOK_AGAIN = 1.0
_NAMED = 5
"""So many of what is in the way are named."""

_KEPT_BY_OTHERS = ("Deployment", "StatefulSet", "Service", "ConfigMap", "Secret", "PersistentVolumeClaim")
"""What of others keeps a namespace from going: all that holds something."""
_OF_EVERY_NAMESPACE = "kube-root-ca.crt"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deployment would do. built: contracts of all that is deployed then. skew: what breaks until then."""

    scope: Scope
    changes: Changes
    built: Mapping[str, Built]
    before: Revision | None
    skew: Sequence[Conflict] = ()


class Release:
    """One system in one namespace.

    show: told how far workloads are, again and again. within: seconds for each stage of a rollout.
    who: of whom others are told that they have to wait for.
    """

    def __init__(self, api: Api, target: Target, show: Show, within: float, who: str) -> None:
        self._api = api
        self._target = target
        self._show = show
        self._within = within
        self._who = who
        self._history = History(api, target)

    async def revisions(self) -> list[Entry]:
        """Those that are kept, the oldest first."""
        return await self._history.entries()

    async def address(self) -> str:
        """Where customers find the system; "" where that is not known yet."""
        return await address(self._api, self._target)

    async def plan(self, services: Sequence[str], *, may_break: bool) -> Plan:
        """What is to be done for these services; () is all of the system.

        Raises AtollError: CLUSTER_TOO_OLD; NEVER_WHOLE; BREAKS_CONSUMER, LACKS_PROVIDER unless it may break;
        SECRETS_MISSING, …
        """
        target, declared = self._target, objects(self._target)
        old = version_problem(await self._api.version())
        if old:
            raise AtollError(old)
        if await self._is_anothers():
            # Whoever made the namespace says what it is like; we are guests.
            declared[NAMESPACE] = [each for each in declared[NAMESPACE] if each["kind"] != "Namespace"]
        built = {each.name: built_of(target, each) for each in target.members if not services or each.name in services}
        kept = await self.revisions()
        before = await self._history.read(kept[-1]) if kept else None
        if before is None and services:
            raise NEVER_WHOLE.error(
                has=[f"no {part}" for part in declared if part not in (NAMESPACE, *services)],
                services=", ".join(services),
                system=target.system,
                namespace=target.namespace,
            )
        if before is not None and not may_break:
            self._check_contracts(before, built, is_whole=not services)
        scope = scope_of(target, declared, services, before.parts if before else {})
        await deploy.check_secrets(self._api, target, scope.parts)
        changes = await self._changes_from(before, scope)
        stays = before.built if before and services else {}
        return Plan(scope, changes, {**stays, **built}, before, skew(before.built, built) if before else ())

    async def deploy(self, plan: Plan, note: str, *, is_forced: bool) -> int:
        """Carry it out, and keep it as a revision; its number.

        Raises AtollError: ROLLOUT_FAILED; DEPLOYING, unless it is forced; DEPLOYED_MEANWHILE; TAKEN_OVER.
        """
        before = plan.before
        left = await self._api.get(LEASE)
        if plan.changes.is_nothing and before is not None and left is None:
            await self._carry_out(plan.scope.parts, plan.changes, _nobody_else)
            return before.number
        # What the Lease lies in. Nothing happens to one that is there.
        for made in plan.scope.parts.get(NAMESPACE, ()):
            if made["kind"] == "Namespace" and await self._api.get(key_of(made)) is None:
                await self._api.apply(made)
        held = await self._take(before.number if before else 0, is_forced=is_forced)
        return await held.during(partial(self._deploy, plan, note))

    async def _deploy(self, plan: Plan, note: str, confirm: Confirm) -> int:
        before, newest = plan.before, await self._newest()
        if (before.number if before else 0) != newest:
            raise self._meanwhile(newest)
        # Whoever failed, or was ended, since it was planned has changed something and made no revision.
        changes = await self._changes_from(before, plan.scope)
        if not changes.is_within(plan.changes):
            raise self._meanwhile(newest)
        await self._carry_out(plan.scope.parts, changes, confirm)
        return await self._history.keep(plan.scope.after, plan.built, note)

    async def _newest(self) -> int:
        """The number of the last revision; 0 if there is none."""
        kept = await self.revisions()
        return kept[-1].number if kept else 0

    def _meanwhile(self, newest: int) -> AtollError:
        return DEPLOYED_MEANWHILE.error(system=self._target.system, namespace=self._api.namespace, number=newest)

    async def _carry_out(self, parts: Parts, changes: Changes, confirm: Confirm) -> None:
        await deploy.carry_out(self._api, self._target.system, parts, changes, confirm, self._show, self._within)

    async def _take(self, back_to: int, *, is_forced: bool) -> Holding:
        return await take(self._api, self._target, Terms(self._who, back_to), is_forced=is_forced)

    async def _find(self, number: int | None) -> Revision:
        kept = await self.revisions()
        if number is None:
            number = previous([each.number for each in kept], back_to(await self._api.get(LEASE)))
        wanted = [each for each in kept if each.number == number]
        if not wanted:
            raise self._history.lacks("before the last" if number is None else number, kept)
        return await self._history.read(wanted[0])

    async def rollback(self, number: int | None, *, is_forced: bool) -> tuple[int, Changes]:
        """Bring the objects of a revision back; databases stay as they are, so nothing is prepared again.

        number: None is the one before the last; the last, where a later one was left halfway.
        Raises AtollError: NO_REVISION; ROLLOUT_FAILED; DEPLOYING, unless it is forced; DEPLOYED_MEANWHILE; TAKEN_OVER.
        """
        to = await self._find(number)
        held = await self._take(to.number, is_forced=is_forced)
        return await held.during(partial(self._rollback, number, to, held.left))

    async def _rollback(
        self, number: int | None, to: Revision, left: int | None, confirm: Confirm
    ) -> tuple[int, Changes]:
        # Another may have deployed since that was worked out.
        numbers = [each.number for each in await self.revisions()]
        if number is None and previous(numbers, left) != to.number:
            raise self._meanwhile(max(numbers, default=0))
        parts = {
            part: await all_as_there(self._api, [each for each in found if each["kind"] != "Job"])
            for part, found in to.parts.items()
        }
        changes = await self._changes(Scope(parts, parts), None, await self._history.kinds())
        # What was prepared stays so. What fails, or is at it still, was for the version that goes.
        done = {key_of(each) for each in await self._api.all("Job", _part_of(self._target.system)) if is_complete(each)}
        kept = replace(changes, removed=tuple(each for each in changes.removed if each not in done))
        await self._carry_out(parts, kept, confirm)
        return await self._history.keep(to.parts, to.built, f"back to {to.number}"), kept

    async def destroy(self, say: Callable[[str], None], *, with_data: bool, is_forced: bool) -> list[Key]:
        """Remove all that is ours; Secrets and volumes only `with_data`. What went.

        Raises AtollError: DEPLOYING, unless it is forced; TAKEN_OVER; CLUSTER_REFUSED if pods do not end in time.
        """
        if await self._api.get(Key("Namespace", self._api.namespace)) is None:
            return []
        held = await self._take(await self._newest(), is_forced=is_forced)
        removed = await held.during(partial(self._destroy, say, with_data))
        if with_data and not await self._is_anothers():
            removed += await self._remove_namespace(say)
        return removed

    async def _destroy(self, say: Callable[[str], None], with_data: bool, confirm: Confirm) -> list[Key]:
        changes = await self._changes(Scope({}, {}), None, await self._history.kinds())
        removed = [*changes.removed, *(await self._data() if with_data else [])]
        await confirm()
        for key in removed:
            await self._api.delete(key)
        await self._until_ended(say)
        # What was deployed is known until all of it has gone.
        await confirm()
        kept = await self._history.keys()
        for key in kept:
            await self._api.delete(key)
        return [*removed, *kept]

    async def _until_ended(self, say: Callable[[str], None]) -> None:
        limit = asyncio.get_running_loop().time() + self._within
        before = 0
        while left := await self._api.all("Pod", _part_of(self._target.system), is_bare=True):
            if asyncio.get_running_loop().time() > limit:
                raise CLUSTER_REFUSED.error(
                    has=[str(key_of(each)) for each in left[:_NAMED]],
                    what=f"to let {len(left)} pods go",
                    reason=f"they are still there after {self._within:g} s",
                )
            if len(left) != before:
                say(f"{len(left)} pods are ending")
            before = len(left)
            await asyncio.sleep(_LOOK_AGAIN)

    async def _remove_namespace(self, say: Callable[[str], None]) -> list[Key]:
        """Ours goes with the system, unless somebody else keeps something in it."""
        lists = await asyncio.gather(*(self._api.all(kind) for kind in _KEPT_BY_OTHERS))
        others = [key_of(each) for found in lists for each in found if not _is_part_of(each, self._target.system)]
        left = [str(key) for key in others if key.name != _OF_EVERY_NAMESPACE]
        if left:
            say(f"the namespace {self._api.namespace} stays, for there is more in it: {', '.join(left[:_NAMED])}")
            return []
        namespace = Key("Namespace", self._api.namespace)
        try:
            await self._api.delete(namespace)
        except AtollError as error:
            if error.problems[0].code != CLUSTER_FORBIDS.code:
                raise
            say(f"the namespace {self._api.namespace} stays, for you may not remove it")
            return []
        return [namespace]

    async def _data(self) -> list[Key]:
        labels = _part_of(self._target.system)
        secrets = await self._api.all("Secret", f"{labels},app.kubernetes.io/managed-by={MANAGER}")
        claims = await self._api.all("PersistentVolumeClaim", f"{labels},app.kubernetes.io/managed-by={MANAGER}")
        return [key_of(each) for each in (*secrets, *claims)]

    async def _is_anothers(self) -> bool:
        """Whether the namespace was there before the system came."""
        found = await self._api.get(Key("Namespace", self._api.namespace))
        return found is not None and not (_is_part_of(found, self._target.system) and deploy.is_ours(found))

    async def _changes_from(self, before: Revision | None, scope: Scope) -> Changes:
        parts = before.parts if before else {}
        return await self._changes(scope, parts, kinds_of(parts))

    async def _changes(self, scope: Scope, deployed: Parts | None, kinds: Collection[str]) -> Changes:
        # Jobs that have been carry a hash in their name, and are removed with what they prepared.
        return await deploy.find_changes(self._api, self._target.system, scope, deployed, kinds)

    def _check_contracts(self, before: Revision, built: Mapping[str, Built], *, is_whole: bool) -> None:
        deployed = {name: each for name, each in before.built.items() if not is_whole or name in built}
        found = conflicts(deployed, built)
        if found:
            raise AtollError(*(each.problem for each in found))


async def _nobody_else() -> None:
    """Where nothing changes, nobody is in the way."""


def _is_part_of(made: Object, system: str) -> bool:
    return mapping(made, "metadata", "labels").get("app.kubernetes.io/part-of") == system


async def address(api: Api, target: Target) -> str:
    """Where customers find the system; "" where that is not known yet."""
    service = await api.get(gateway_key()) if target.description.gateway else None
    return url_of(target, service, await _nodes(api, target))


async def _nodes(api: Api, target: Target) -> list[Object]:
    """Those of the cluster, where they matter and may be read."""
    if target.environment.gateway.way_in != "nodeport":
        return []
    try:
        return await api.all("Node")
    except AtollError:
        # A right of the whole cluster, which who deploys to a namespace may not have.
        return []


def _part_of(system: str) -> str:
    return f"app.kubernetes.io/part-of={system}"
