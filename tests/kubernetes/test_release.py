"""What a command was shown, and what it finds when nobody else is at it any more."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest

from atoll.errors import CLUSTER_REFUSED, DEPLOYED_MEANWHILE, DEPLOYING, AtollError
from atoll.kubernetes import lease
from atoll.kubernetes.client import Api
from atoll.kubernetes.history import History
from atoll.kubernetes.lease import LEASE, Terms, lease_object
from atoll.kubernetes.names import Object, Target
from atoll.kubernetes.objects import Key, key_of, mapping
from atoll.kubernetes.release import Release
from atoll.kubernetes.render import objects
from atoll.kubernetes.rollout import Row
from atoll.wire.description import Description
from tests.kubernetes.api_server import LABELS, Server, revision
from tests.kubernetes.targets import target_of

NAME = "leases/atoll-deploying"
TAKING = f"POST {NAME}"


@pytest.fixture
def small(shop: Description) -> Description:
    """Two services of the shop, of which neither needs another or a database."""
    members = [each for each in shop.members if each.name in {"ads", "currency"}]
    members = [msgspec.structs.replace(each, database=None) for each in members]
    return msgspec.structs.replace(shop, members=tuple(members), topics=(), gateway=None)


def nothing_shown(_: Sequence[Row]) -> None:
    pass


def release_of(api: Api, target: Target) -> Release:
    return Release(api, target, nothing_shown, 0.0, "me")


def held_by_mia(target: Target) -> Object:
    return lease_object(target, Terms("mia", 1), datetime.now(UTC))


def changed(server: Server) -> list[str]:
    return [each for each in server.asked if not each.endswith(NAME)]


async def deployed(api: Api, server: Server, target: Target) -> None:
    """As a deployment has left it that ended well."""
    parts = objects(target)
    for part in parts.values():
        for made in part:
            await api.apply(made)
    for name in [each for each in server.objects if each.startswith("deployments/")]:
        made = server.objects[name]
        count = mapping(made, "spec")["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), count)
        server.put(name, {**made, "status": {"observedGeneration": 0, **counts}})
    await History(api, target).keep(parts, {}, "")
    server.asked.clear()


def edit(server: Server, name: str, count: int = 99) -> None:
    """As somebody's deployment does that fails afterwards, which makes no revision."""
    made = server.objects[name]
    server.put(name, {**made, "spec": {**mapping(made, "spec"), "revisionHistoryLimit": count}})


async def test_what_another_has_changed_since_it_was_planned_is_not_left_as_it_is(
    server: Server, api: Api, small: Description
) -> None:
    # Given a system, of which one service is to be changed
    await deployed(api, server, target_of(small))
    release = release_of(api, target_of(small, services={"ads": {"replicas": 2}}))
    plan = await release.plan((), may_break=False)
    assert Key("Deployment", "ads") in {key_of(each.wanted) for each in plan.changes.applied}
    # When somebody changes the other
    edit(server, "deployments/currency")
    # Then that is told, instead of recorded as whole, and nothing is touched
    with pytest.raises(AtollError, match=f"{DEPLOYED_MEANWHILE.code} .*revision 1 is the last there"):
        await release.deploy(plan, "", is_forced=False)
    assert changed(server) == []
    assert NAME not in server.objects


async def test_what_was_shown_and_is_otherwise_meanwhile_becomes_as_declared(
    server: Server, api: Api, small: Description
) -> None:
    # Given one of two changes that were shown
    await deployed(api, server, target_of(small))
    edit(server, "deployments/currency")
    edit(server, "deployments/ads")
    release = release_of(api, target_of(small))
    plan = await release.plan((), may_break=False)
    # When one is made by another, and one is made another
    await api.apply(next(each for each in objects(target_of(small))["currency"] if each["kind"] == "Deployment"))
    edit(server, "deployments/ads", 98)
    server.asked.clear()
    # Then what is left to do is done
    assert await release.deploy(plan, "", is_forced=False) == 2
    assert [each for each in changed(server) if "deployments" in each] == ["PATCH deployments/ads"]
    declared = next(each for each in objects(target_of(small))["ads"] if each["kind"] == "Deployment")
    assert mapping(server.objects["deployments/ads"], "spec") == mapping(declared, "spec")
    assert NAME not in server.objects


async def test_a_rollback_goes_no_further_back_because_another_deployed_meanwhile(
    server: Server, api: Api, shop: Description
) -> None:
    release = release_of(api, target_of(shop))
    for number in (1, 2):
        server.objects[f"configmaps/atoll-revision-{number}"] = revision({}, number)

    def deploy() -> None:
        server.objects["configmaps/atoll-revision-3"] = revision({}, 3)

    # Given somebody whose deployment ends before the one before the last is gone back to
    server.meanwhile[TAKING] = deploy
    with pytest.raises(AtollError, match=f"{DEPLOYED_MEANWHILE.code} .*revision 3 is the last there"):
        await release.rollback(None, is_forced=False)
    assert changed(server) == []
    assert NAME not in server.objects
    # Whoever names a revision means it; and from here it is the second
    del server.objects["configmaps/atoll-revision-3"]
    server.meanwhile[TAKING] = deploy
    assert (await release.rollback(1, is_forced=False))[0] == 4
    assert (await release.rollback(None, is_forced=False))[0] == 5
    notes = [each.note for each in await release.revisions()]
    assert notes[-2:] == ["back to 1", "back to 3"]


async def test_nothing_is_destroyed_beside_a_deployment(
    server: Server, api: Api, shop: Description, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEW", 0.05)
    monkeypatch.setattr(lease, "_STOPS", 0.05)
    release = release_of(api, target_of(shop))
    server.objects["configmaps/atoll-revision-1"] = revision({})
    server.put(NAME, held_by_mia(target_of(shop)))
    with pytest.raises(AtollError, match=f"{DEPLOYING.code} .* by mia"):
        await release.destroy(print, with_data=True, is_forced=False)
    assert server.asked == []
    # But by force, and the Lease goes last of all that is the system's
    assert Key("ConfigMap", "atoll-revision-1") in await release.destroy(print, with_data=True, is_forced=True)
    deleted = [each for each in server.asked if each.startswith("DELETE")]
    assert deleted == ["DELETE configmaps/atoll-revision-1", f"DELETE {NAME}"]


async def test_what_is_destroyed_is_deleted_once_and_pods_that_stay_are_named(
    server: Server, api: Api, small: Description
) -> None:
    await deployed(api, server, target_of(small))
    release = release_of(api, target_of(small))
    server.objects["pods/users-1"] = {"metadata": {"name": "users-1", "labels": LABELS}}
    said: list[str] = []
    with pytest.raises(AtollError, match=f"{CLUSTER_REFUSED.code} .*to let 1 pods go") as raised:
        await release.destroy(said.append, with_data=True, is_forced=False)
    assert raised.value.problems[0].has == ("Pod users-1",)
    # Then it is known what was deployed, and that it is not whole
    assert NAME in server.objects
    assert [each.number for each in await release.revisions()] == [1]
    # When it has ended, the rest goes as well
    del server.objects["pods/users-1"]
    removed = await release.destroy(said.append, with_data=True, is_forced=False)
    assert removed == [Key("ConfigMap", "atoll-revision-1"), Key("Namespace", "shop")]
    deleted = [each for each in server.asked if each.startswith("DELETE")]
    assert len(set(deleted)) == len(deleted)
    assert set(server.objects) <= {"namespaces/shop"}


async def test_where_there_is_no_namespace_nothing_is_destroyed(server: Server, api: Api, shop: Description) -> None:
    server.objects.clear()
    assert await release_of(api, target_of(shop)).destroy(print, with_data=True, is_forced=False) == []
    assert server.asked == []
    assert await api.get(LEASE) is None
