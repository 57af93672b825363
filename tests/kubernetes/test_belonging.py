"""What is another's in the namespace stays as it is, and is told."""

from pathlib import Path

import pytest

from atoll.errors import CLUSTER_FORBIDS, OF_ANOTHER, AtollError
from atoll.kubernetes.client import connect
from atoll.kubernetes.deploy import find_changes
from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import key_of, kind_of, mapping
from atoll.kubernetes.scope import Scope
from atoll.wire.description import Description
from tests.kubernetes.api_server import Server, kubeconfig_of
from tests.kubernetes.targets import find, rendered, target_of

PART_OF, MANAGED_BY = "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"


def labelled(made: Object, manager: str = "atoll", **labels: str) -> Object:
    """As it is in a cluster, applied by the manager."""
    described = {**mapping(made, "metadata"), "labels": labels, "managedFields": [{"manager": manager}]}
    return {**made, "metadata": described}


async def found(server: Server, folder: Path, made: list[Object], there: list[Object]) -> AtollError | None:
    """What is said of these objects where others are there already."""
    for each in there:
        server.objects[f"{kind_of(str(each['kind'])).plural}/{key_of(each).name}"] = each
    async with connect("", "shop", str(kubeconfig_of(server.server_port, folder))) as api:
        try:
            await find_changes(api, "shop", Scope({"all": made}, {"all": made}))
        except AtollError as error:
            return error
    return None


async def test_what_another_system_has_is_neither_tried_nor_applied(
    server: Server, tmp_path: Path, shop: Description
) -> None:
    # Given a namespace that another system was deployed to, where no try would be allowed
    made = rendered(target_of(shop))
    kinds = [("Deployment", "gateway"), ("StatefulSet", "nats"), ("NetworkPolicy", "dns")]
    mine = [find(made, kind, name) for kind, name in kinds]
    theirs = [labelled(each, **{PART_OF: "other", MANAGED_BY: "atoll"}) for each in mine]
    server.forbidden |= {f"PATCH {kind_of(kind).plural}" for kind, _ in kinds}
    # Then all of it is told at once, with whose it is
    error = await found(server, tmp_path, mine, theirs)
    assert error is not None
    (problem,) = error.problems
    assert problem.code == OF_ANOTHER.code
    assert "Deployment gateway, StatefulSet nats, NetworkPolicy dns of other" in problem.sentence


@pytest.mark.parametrize(
    ("labels", "manager", "owner"),
    [
        ({}, "kubectl-create", "kubectl-create"),
        ({PART_OF: "shop", MANAGED_BY: "Helm"}, "helm", "Helm"),
        ({PART_OF: "backend", MANAGED_BY: "Helm"}, "helm", "backend"),
        ({MANAGED_BY: "atoll"}, "atoll", "somebody else"),
    ],
)
@pytest.mark.parametrize(("kind", "name"), [("Service", "postgres"), ("ServiceAccount", "gateway")])
async def test_what_somebody_made_by_another_tool_stays(
    server: Server,
    tmp_path: Path,
    shop: Description,
    kind: str,
    name: str,
    labels: dict[str, str],
    manager: str,
    owner: str,
) -> None:
    made = find(rendered(target_of(shop)), kind, name)
    server.forbidden.add(f"PATCH {kind_of(kind).plural}")
    error = await found(server, tmp_path, [made], [labelled(made, manager, **labels)])
    assert error is not None
    assert [each.code for each in error.problems] == [OF_ANOTHER.code]
    assert f"{kind} {name} of {owner};" in error.problems[0].sentence


@pytest.mark.parametrize("manager", ["atoll", "kubectl", "argocd-controller", "kubectl-client-side-apply"])
async def test_what_was_rendered_for_the_same_system_is_ours_whoever_applied_it(
    server: Server, tmp_path: Path, shop: Description, manager: str
) -> None:
    # Given all that is rendered, applied by somebody who adds labels of his own
    made = [each for each in rendered(target_of(shop)) if each["kind"] != "Namespace"]
    there = [labelled(each, manager, **mapping(each, "metadata", "labels"), team="web") for each in made]  # type: ignore[arg-type]
    # Then it is read, and tried
    assert await found(server, tmp_path, made, there) is None
    server.forbidden.add("PATCH deployments")
    error = await found(server, tmp_path, made, there)
    assert error is not None
    assert {each.code for each in error.problems} == {CLUSTER_FORBIDS.code}
