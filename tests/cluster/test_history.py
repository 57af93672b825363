"""Revisions in a real namespace: kept, also where one object is too small for one, and forgotten."""

import random

import pytest

from atoll.errors import NO_REVISION, AtollError
from atoll.kubernetes.client import connect
from atoll.kubernetes.environment import Cluster as Place
from atoll.kubernetes.environment import Environment
from atoll.kubernetes.history import History
from atoll.kubernetes.names import Target
from atoll.kubernetes.revision import KEPT, Built, Entry
from atoll.wire.description import Description
from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl


async def test_a_revision_of_any_size_is_read_as_it_was_until_it_is_forgotten_with_all_its_pieces(
    cluster: Cluster, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    description = Description(name="shop", folder="", import_path=())
    target = Target(description, Environment(cluster=Place(namespace=kubectl.namespace)))
    async with connect("", kubectl.namespace) as api:
        history = History(api, target)
        # Given a first one that no single object can hold
        noise = random.Random(7)
        built = {
            str(number): Built(schemas={"noise": {"const": noise.randbytes(40_000).hex()}}) for number in range(45)
        }
        assert await history.keep({"users": [{"kind": "Service"}]}, built, "large") == 1
        (first,) = await history.entries()
        assert first == Entry(1, first.made, "large", 3)
        read = await history.read(first)
        assert (read.number, read.parts, read.built) == (1, {"users": [{"kind": "Service"}]}, built)
        # When as many come as are kept
        for number in range(2, KEPT + 2):
            assert await history.keep({}, {}, "") == number
        # Then it is forgotten, with all that it lay in
        assert [each.number for each in await history.entries()] == list(range(2, KEPT + 2))
        assert {key.name for key in await history.keys()} == {
            f"atoll-revision-{number}" for number in range(2, KEPT + 2)
        }
        with pytest.raises(AtollError, match=NO_REVISION.code):
            await history.read(first)
