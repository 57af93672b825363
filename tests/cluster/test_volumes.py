"""Volumes grow where their class allows it; what no volume can become is told before anything is applied."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from atoll.errors import VOLUME_FIXED, AtollError
from atoll.kubernetes.client import Api, connect
from atoll.kubernetes.deploy import Changes, carry_out, find_changes
from atoll.kubernetes.names import Object
from atoll.kubernetes.scope import Scope
from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.programs import Failed
from tests.cluster.shop import Shop

SYSTEM = "keeping"
CLAIM = "data-keeper-0"


def keeper(image: str, storage: str) -> Object:
    """An engine with a volume, as far as volumes are concerned."""
    labels = {"app": "keeper", "app.kubernetes.io/part-of": SYSTEM}
    container = {
        "name": "keeper",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "600"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "keeper", "labels": labels},
        "spec": {
            "serviceName": "keeper",
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }


async def deployed(api: Api, made: Object) -> Changes:
    """What has changed."""
    parts = {"keeper": [made]}
    changes = await find_changes(api, SYSTEM, Scope(parts, parts))
    await carry_out(api, SYSTEM, parts, changes, alone, unseen, within=60.0)
    return changes


async def alone() -> None:
    """Nobody else deploys."""


def unseen(_: object) -> None:
    """Nobody looks."""


@pytest.fixture
def growing(kubectl: Kubectl) -> Iterator[Any]:
    """Lets the class of a claim allow that claims grow, until the test ends."""
    classes: list[str] = []

    def allow(claim: str) -> None:
        name = kubectl.get("persistentvolumeclaim", claim)["spec"]["storageClassName"]
        classes.append(name)
        kubectl.run("patch", "storageclass", name, "--patch", '{"allowVolumeExpansion": true}')

    yield allow
    for name in classes:
        kubectl.run("patch", "storageclass", name, "--patch", '{"allowVolumeExpansion": false}')


async def test_a_volume_grows_under_its_running_pod_if_its_class_allows_it_and_never_shrinks(
    cluster: Cluster, kubectl: Kubectl, growing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    image = await asyncio.to_thread(cluster.docker.base, "python")
    await asyncio.to_thread(cluster.load, image)
    async with connect("", kubectl.namespace) as api:
        # Given one that is up with a volume
        await deployed(api, keeper(image, "1Gi"))
        before = kubectl.get("statefulset", "keeper")["metadata"]["uid"]
        pod = kubectl.get("pod", "keeper-0")
        # When more is asked for than its class allows, or less than there is
        for storage, reason in (("2Gi", "the cluster does not let it grow"), ("512Mi", "a volume never shrinks")):
            with pytest.raises(AtollError, match=reason) as raised:
                await deployed(api, keeper(image, storage))
            assert [each.code for each in raised.value.problems] == [VOLUME_FIXED.code]
        # Then nothing has happened
        assert kubectl.get("statefulset", "keeper")["metadata"]["uid"] == before
        # When the class allows it
        growing(CLAIM)
        (change,) = (await deployed(api, keeper(image, "2Gi"))).applied
        # Then the volume has grown, it will be as large when it is made again, and the pod is the same
        shown = [line[:1] + line.split()[-1] for line in change.lines if "storage:" in line]
        assert shown == ['-"1Gi"', '+"2Gi"']
        assert requested(kubectl.get("persistentvolumeclaim", CLAIM)) == "2Gi"
        (template,) = kubectl.get("statefulset", "keeper")["spec"]["volumeClaimTemplates"]
        assert requested(template) == "2Gi"
        after = kubectl.get("pod", "keeper-0")
        assert after["metadata"]["uid"] == pod["metadata"]["uid"]
        # And there is nothing left to do
        assert (await deployed(api, keeper(image, "2Gi"))).is_nothing


def requested(claim: dict[str, Any]) -> str:
    found: str = claim["spec"]["resources"]["requests"]["storage"]
    return found


def test_what_no_volume_of_the_shop_can_become_is_told_before_anything_is_applied(shop: Shop) -> None:
    before = shop.generations()
    old, new = '[engines.postgres]\nstorage = "1Gi"', '[engines.postgres]\nstorage = "500Mi"\nstorage_class = "fast"'
    name = shop.environment("smaller", old=old, new=new)
    wanted = r"ATL5113 +The volume data-postgres-0 has the class local, and can't get fast: a volume keeps its class"
    with pytest.raises(Failed, match=wanted):
        shop.atoll("deploy", "-e", name)
    assert shop.generations() == before
