"""Brings a namespace to what was rendered: shows the difference, applies in order, waits, and removes what is left."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from atoll.errors import (
    CLUSTER_FORBIDS,
    CLUSTER_REFUSED,
    SECRETS_MISSING,
    VOLUME_FIXED,
    AtollError,
)
from atoll.kubernetes.belonging import Foreign, foreign, foreign_problems
from atoll.kubernetes.claims import as_asked, as_there, claims_of
from atoll.kubernetes.client import Api
from atoll.kubernetes.diff import difference
from atoll.kubernetes.drift import Drift, drift
from atoll.kubernetes.handover import handed_over, merged
from atoll.kubernetes.lease import Confirm
from atoll.kubernetes.names import GATEWAY, HOLDER, MANAGER, SETUP, Object, Target
from atoll.kubernetes.objects import Key, items, key_of, kind_of, mapping
from atoll.kubernetes.permissions import SERVER, configuration_key
from atoll.kubernetes.revision import COMPONENT as REVISION
from atoll.kubernetes.rollout import WATCHED, has_given_up
from atoll.kubernetes.scope import Parts, Scope, made_by, references
from atoll.kubernetes.setup import setup_document
from atoll.kubernetes.transition import transition
from atoll.kubernetes.volumes import grow, let_go
from atoll.kubernetes.waiting import Show, until_left, wait

_AT_ONCE = 16
_TOLD_TOGETHER = (CLUSTER_FORBIDS.code, CLUSTER_REFUSED.code, VOLUME_FIXED.code)

# What may be removed when it is not rendered any more. Never a Secret or a volume: what they keep can't be made again.
_PRUNED = (
    "Deployment",
    "StatefulSet",
    "Job",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Ingress",
    "HTTPRoute",
    "PrometheusRule",
    "ServiceMonitor",
    "Service",
    "ConfigMap",
    "NetworkPolicy",
    "RoleBinding",
    "Role",
    "ServiceAccount",
)


@dataclass(frozen=True, slots=True)
class Change:
    """An object, with the lines that say how it is to be changed, and what others have changed in it.

    live: as it is there.
    """

    wanted: Object
    lines: tuple[str, ...]
    is_new: bool
    drift: tuple[Drift, ...] = ()
    live: Object | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """applied: in no order. removed: what is in the cluster and not rendered any more. drift: in all objects."""

    applied: tuple[Change, ...]
    removed: tuple[Key, ...]
    drift: tuple[Drift, ...] = ()

    @property
    def is_nothing(self) -> bool:
        return not self.applied and not self.removed

    def is_within(self, shown: "Changes") -> bool:
        """Whether no object is touched but those that were shown."""
        return self._touched <= shown._touched

    @property
    def _touched(self) -> set[Key]:
        return {key_of(each.wanted) for each in self.applied} | set(self.removed)


def stages(parts: Parts) -> list[list[Object]]:
    """The objects in the order to apply them; each stage is up before the next one begins."""
    found: list[list[Object]] = [[], [], [], [], [], []]
    for part, each in parts.items():
        for made in each:
            found[_stage(part, str(made["kind"]))].append(made)
    return [stage for stage in found if stage]


def _stage(part: str, kind: str) -> int:
    if kind == "Namespace":
        return 0
    if kind == "StatefulSet" or (part == SETUP and kind == "Job"):
        return 2
    if kind == "Job":
        return 3
    if kind in {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"} and part != GATEWAY:
        return 4
    if part == GATEWAY and kind in {"Deployment", "PodDisruptionBudget", "Ingress", "HTTPRoute"}:
        return 5
    return 1


async def find_changes(
    api: Api, system: str, scope: Scope, deployed: Parts | None = None, kinds: Collection[str] = ()
) -> Changes:
    """What the API server would make of the objects; nothing is kept.

    deployed: what was applied last, where that is known. kinds: of all that was deployed last; of those that not every
    cluster has, another is taken for absent where we may not look. Raises AtollError with all it refuses.
    """
    wanted = [made for each in scope.parts.values() for made in each]
    there = await api.get(Key("Namespace", api.namespace))
    if there is None:
        # Nothing can be tried where nothing is.
        return Changes(tuple(Change(made, (), True) for made in wanted), ())
    gate = asyncio.Semaphore(_AT_ONCE)
    last = {key_of(made): made for each in (deployed or {}).values() for made in each}
    found = await asyncio.gather(*(_change(api, made, last.get(key_of(made)), gate) for made in wanted))
    problems = [problem for each in found if isinstance(each, AtollError) for problem in each.problems]
    problems += foreign_problems((each for each in found if isinstance(each, Foreign)), api.namespace, system)
    if problems:
        raise AtollError(*problems)
    changes = [each for each in found if isinstance(each, Change)]
    applied = tuple(each for each in changes if each.lines or each.is_new)
    stays = {key_of(made) for each in scope.after.values() for made in each}
    removed = await _left(api, system, stays, frozenset(scope.apps), kinds)
    return Changes(applied, removed, tuple(one for each in changes for one in each.drift))


async def _change(
    api: Api, made: Object, last: Object | None, gate: asyncio.Semaphore
) -> Change | Foreign | AtollError:
    async with gate:
        live = None
        try:
            live = await api.get(key_of(made))
            # A system may be a guest in the namespace of others.
            if made["kind"] != "Namespace" and (anothers := foreign(live, made)):
                return anothers
            if live is None and made["kind"] == "RoleBinding" and await api.get(_role_of(made)) is None:
                # Of whoever may not bind any role the API server wants to see this one, which no trial makes.
                return Change(made, (), is_new=True)
            await grow(api, made, is_trial=True)
            # What is handed over stays as it is, and so do a StatefulSet's claims, which change with a new one alone.
            tried = as_there(made, live) if made["kind"] == "StatefulSet" else made
            after = await api.apply(merged(tried, handed_over(made, live)), is_trial=True)
        except AtollError as error:
            if _is_forbidden(error) and made["kind"] == "Namespace" and _is_labelled(live, made):
                # A right of the whole cluster, of which nothing is needed here.
                return Change(made, (), is_new=False, live=live)
            if any(each.code in _TOLD_TOGETHER for each in error.problems):
                return error
            raise
    if live is None:
        return Change(made, (), is_new=True)
    if made["kind"] == "StatefulSet":
        after = as_asked(after, made)
    others = tuple(drift(live, after, is_as_deployed=made == last))
    return Change(made, tuple(difference(live, after)), False, others, live)


def _is_forbidden(error: AtollError) -> bool:
    return all(each.code == CLUSTER_FORBIDS.code for each in error.problems)


def _role_of(binding: Object) -> Key:
    return Key("Role", str(mapping(binding, "roleRef")["name"]))


def _is_labelled(live: Object | None, made: Object) -> bool:
    return mapping(made, "metadata", "labels").items() <= mapping(live, "metadata", "labels").items()


async def _left(
    api: Api, system: str, stays: set[Key], apps: frozenset[str], kinds: Collection[str]
) -> tuple[Key, ...]:
    labels = f"app.kubernetes.io/managed-by={MANAGER},app.kubernetes.io/part-of={system}"
    lists = await asyncio.gather(*(_listed(api, kind, labels, kinds) for kind in _PRUNED))
    return tuple(
        key_of(each)
        for found in lists
        for each in found
        if key_of(each) not in stays and is_ours(each) and (not apps or _app(each) in apps)
    )


async def _listed(api: Api, kind: str, labels: str, kinds: Collection[str]) -> list[Object]:
    """None of a kind that not every cluster has, that was not deployed last, and that we may not list.

    For whoever has no right to a kind is told so before that the cluster does not know it, and the usual roles for one
    namespace know nothing of these.
    """
    try:
        return await api.all(kind, labels, is_bare=True)
    except AtollError as error:
        if _is_forbidden(error) and kind_of(kind).is_added and kind not in kinds:
            return []
        raise


def is_ours(made: Object) -> bool:
    """Whether we applied it: a label alone may have been copied."""
    if mapping(made, "metadata", "labels").get("app.kubernetes.io/component") == REVISION:
        return False
    return any(each.get("manager") == MANAGER for each in items(made, "metadata", "managedFields"))


def _app(made: Object) -> str:
    return str(mapping(made, "metadata", "labels").get("app", ""))


async def carry_out(
    api: Api, system: str, parts: Parts, changes: Changes, confirm: Confirm, show: Show, within: float
) -> None:
    """Apply stage by stage, and wait for each. Raises AtollError ROLLOUT_FAILED with the reason and the last words.

    confirm: before each stage and at the end, that nobody took over meanwhile: what came up may be another's.
    within: seconds for each stage. What is not rendered any more goes at the end, when nothing needs it, and so do
    connections and accounts that only the old version uses; but an autoscaler goes first, for it would take back a
    number of pods that is declared again.
    """
    await confirm()
    for key in changes.removed:
        if key.kind == "HorizontalPodAutoscaler":
            await api.delete(key)
    changed = {key_of(each.wanted) for each in changes.applied}
    meanwhile = transition(parts, await _there(api, changes))
    changed.update(meanwhile.more)
    ordered = stages(meanwhile.parts)
    # What is up needs no order.
    whole = [[made for stage in ordered for made in stage]]
    for stage in whole if changes.is_nothing else ordered:
        for made in stage:
            if made["kind"] == "Job":
                await _run_again(api, key_of(made), changed)
            if key_of(made) in changed:
                await _apply(api, made)
        await wait(api, system, [key_of(made) for made in stage if made["kind"] in WATCHED], show, within)
        await confirm()
    if meanwhile.narrower:
        await until_left(api, system, within)
        await confirm()
        for made in meanwhile.narrower:
            await _apply(api, made)
        await wait(api, system, [key_of(made) for made in meanwhile.narrower if made["kind"] in WATCHED], show, within)
        await confirm()
    for key in (*changes.removed, *meanwhile.more):
        await api.delete(key)


async def _there(api: Api, changes: Changes) -> dict[Key, Object]:
    """What is there of all that changes, and what the broker reads."""
    found = {key_of(each.wanted): each.live for each in changes.applied if each.live is not None}
    if SERVER in found:
        key = configuration_key(found[SERVER])
        read = await api.get(key) if key.name else None
        found |= {key: read} if read else {}
    return found


async def _apply(api: Api, made: Object) -> None:
    if claims_of(made):
        await grow(api, made, is_trial=False)
        await let_go(api, made, await api.get(key_of(made)))
    count = handed_over(made, await api.get(key_of(made))) if made["kind"] == "Deployment" else {}
    if count:
        named: Object = {
            "apiVersion": made["apiVersion"],
            "kind": made["kind"],
            "metadata": {"name": key_of(made).name},
        }
        await api.apply(merged(named, count), manager=HOLDER)
    await api.apply(made)


async def _run_again(api: Api, key: Key, changed: set[Key]) -> None:
    """A Job that failed can only be made anew; one that was given up here is tried by the cluster too rarely."""
    there = await api.get(key)
    if there is None or not has_given_up(there):
        return
    # With a try that may still run: no two of them meet.
    await api.delete(key, owned="Foreground")
    await api.until_gone(key)
    changed.add(key)


async def check_secrets(api: Api, target: Target, parts: Parts) -> None:
    """Raises AtollError SECRETS_MISSING for each that objects read, and neither is there nor will be made."""
    ours = made_by(setup_document(target))
    wanted = {reference for each in parts.values() for one in each for reference in references(one)} - ours
    if not wanted:
        return
    names = sorted({name for name, _ in wanted})
    found = await asyncio.gather(*(api.get(Key("Secret", name)) for name in names))
    there = {(name, key) for name, each in zip(names, found, strict=True) for key in mapping(each, "data")}
    missing = sorted(wanted - there)
    if missing:
        raise AtollError(
            *(
                SECRETS_MISSING.at(namespace=api.namespace, secret=name, key=key, declared=target.declared(name))
                for name, key in missing
            )
        )
