"""Who may not look at kinds that not every cluster has deploys and destroys, unless one of them was deployed."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from atoll.errors import AtollError
from atoll.kubernetes.deploy import find_changes
from atoll.kubernetes.history import History
from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import Kind, items, kind_of
from atoll.kubernetes.release import Release
from atoll.kubernetes.scope import Scope
from atoll.wire.description import Description
from tests.documented import documented_roles
from tests.kubernetes.api_server import LABELS, NAMESPACE, Server, connected, revision
from tests.kubernetes.targets import rendered, target_of


async def test_kinds_that_were_never_deployed_need_no_right(server: Server, tmp_path: Path, shop: Description) -> None:
    async with connected(server, tmp_path) as api:
        assert (await find_changes(api, "shop", Scope({}, {}))).is_nothing
        release = Release(api, target_of(shop), lambda _: None, 1.0, "me")
        assert await release.destroy(print, with_data=False, is_forced=False) == []


@pytest.mark.parametrize("kind", ["configmaps", "ingresses", "roles"])
async def test_kinds_that_every_cluster_has_need_a_right(server: Server, tmp_path: Path, kind: str) -> None:
    server.forbidden.add(kind)
    async with connected(server, tmp_path) as api:
        with pytest.raises(AtollError, match=f"ATL5102 .*{kind} is forbidden"):
            await find_changes(api, "shop", Scope({}, {}))


async def test_a_kind_that_was_deployed_needs_a_right_for_it_may_have_to_go(
    server: Server, tmp_path: Path, shop: Description
) -> None:
    # Given a system whose last revision has a route, deployed by somebody with more rights
    route: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "gateway"}}
    server.objects["configmaps/atoll-revision-1"] = revision({"gateway": [route]})
    async with connected(server, tmp_path) as api:
        assert await History(api, target_of(shop)).kinds() == {"HTTPRoute"}
        # Then whoever may not see it can't leave it behind unknowingly
        release = Release(api, target_of(shop), lambda _: None, 1.0, "me")
        with pytest.raises(AtollError, match=r"ATL5102 .*GET HTTPRoute.*httproutes is forbidden"):
            await release.destroy(print, with_data=False, is_forced=False)
        with pytest.raises(AtollError, match=r"ATL5102 .*GET HTTPRoute.*httproutes is forbidden"):
            await find_changes(api, "shop", Scope({}, {}), None, {"HTTPRoute"})


@pytest.mark.parametrize("wanted", [{}, {"pod-security.kubernetes.io/enforce": "restricted"}])
async def test_a_namespace_that_is_as_declared_needs_no_right_to_change_it(
    server: Server, tmp_path: Path, wanted: dict[str, str]
) -> None:
    server.forbidden.add("PATCH namespaces")
    made: Object = {**NAMESPACE, "metadata": {"name": "shop", "labels": {**LABELS, **wanted}}}
    async with connected(server, tmp_path) as api:
        scope = Scope({"namespace": [made]}, {"namespace": [made]})
        if wanted:
            with pytest.raises(AtollError, match=r"ATL5102 .*PATCH Namespace shop"):
                await find_changes(api, "shop", scope)
        else:
            assert (await find_changes(api, "shop", scope)).is_nothing


def test_the_documented_role_names_every_kind_that_is_applied_and_every_right_that_is_given(
    shop: Description,
) -> None:
    (role,) = documented_roles()
    rights = rights_of([role])
    made = rendered(target_of(shop, telemetry={"dashboard": True, "collector": True}))
    kinds = {kind_of(str(each["kind"])) for each in made} - {kind_of("Namespace")}
    verbs = ("get", "list", "create", "patch", "delete")
    assert {(group_of(kind), kind.plural, verb) for kind in kinds for verb in verbs} <= rights
    # Who gives a right has to have it.
    assert rights_of([each for each in made if each["kind"] == "Role"]) <= rights


def rights_of(roles: Sequence[Object]) -> set[tuple[object, ...]]:
    """Each with group, resource and verb."""
    rules = [rule for role in roles for rule in items(role, "rules")]
    return {right for rule in rules for right in product(*(rule[each] for each in ("apiGroups", "resources", "verbs")))}  # type: ignore[call-overload]


def group_of(kind: Kind) -> str:
    return kind.version.rpartition("/")[0]
