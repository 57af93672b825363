"""A real Kubernetes of one node, and a namespace of it for each test."""

import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster import lifecycle
from tests.cluster.binaries import Binaries, cache_folder, planned
from tests.cluster.cluster import KUBECONFIG, Cluster, elsewhere, of_place
from tests.cluster.kubectl import Kubectl
from tests.cluster.place import chosen
from tests.cluster.shop import Shop
from tests.conftest import CI

# Seconds; the first test also waits for the cluster, and the first with the boutique for its images and all its pods.
LIMIT = 180
LIMIT_WITH_SHOP = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            with_shop = "shop" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.timeout(LIMIT_WITH_SHOP if with_shop else LIMIT))


def need(lacking: Sequence[str]) -> None:
    """Skip the test on a laptop that lacks something; fail it in CI."""
    if lacking and CI:
        pytest.fail(f"CI lacks {', '.join(lacking)}: add Debian's packages to .ci/run", pytrace=False)
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)}")


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """What clusters on this machine are made of."""
    made = planned(cache_folder(os.environ))
    need([*lifecycle.lacking(), *([] if made.are_built else ["the programs that make test-cluster builds"])])
    return made


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The contributor's own, if ATOLL_TEST_KUBECONFIG names one; the one of `python -m tests.cluster up`; or a new one.

    ATOLL_TEST_PLACE=3 is another one of this machine, which `python -m tests.cluster --place 3 up` keeps.
    `cluster.kubectl`, `.kubeconfig`, `.node_address`; `cluster.docker.build(tag, folder)`, `.base("python")`,
    `.push(tag)`; `cluster.load(tag)`.
    """
    if KUBECONFIG in os.environ:
        yield elsewhere(os.environ)
    else:
        binaries = request.getfixturevalue("binaries")
        place = chosen(os.environ)
        with lifecycle.borrowed(place, binaries, print):
            yield of_place(place, binaries)


@pytest.fixture
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a new namespace, `kubectl.namespace`, which ends with the test."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl.run("create", "namespace", name)
    inside = cluster.kubectl.in_namespace(name)
    # No pod is taken, and none starts, before there is what every namespace is given.
    inside.wait("create", "serviceaccount/default")
    inside.wait("create", "configmap/kube-root-ca.crt")
    yield inside
    cluster.kubectl.delete("namespace", name, wait=False)


@pytest.fixture(scope="session")
def shop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The boutique, deployed. A test that changes it brings it back to what the source says."""
    made = Shop.copied(tmp_path_factory.mktemp("boutique") / "shop", cluster, f"http://{cluster.node_address}:30080")
    made.build()
    made.atoll("deploy", "-e", "test")
    made.opened()
    try:
        yield made
    finally:
        made.atoll("destroy", "-e", "test", "--data", "--yes")
        # With all that was in it: the collector, its rights and its volume too.
        cluster.kubectl.run("wait", "--for=delete", f"namespace/{made.namespace}", "--timeout=120s", within=130)
