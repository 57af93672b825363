"""What another size or class means for a volume that is there."""

import pytest

from atoll.errors import VOLUME_FIXED
from atoll.kubernetes.claims import as_asked, as_there, claims_of, is_larger, unfit
from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import items, mapping
from atoll.wire.description import Description
from tests.kubernetes.targets import find, rendered, target_of


def claim(storage: str, storage_class: str = "") -> Object:
    named = {"storageClassName": storage_class} if storage_class else {}
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {**named, "resources": {"requests": {"storage": storage}}},
    }


def stateful(template: Object) -> Object:
    return {"kind": "StatefulSet", "metadata": {"name": "nats"}, "spec": {"volumeClaimTemplates": [template]}}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (claim("5Gi"), "has 10Gi, and can't get 5Gi: a volume never shrinks."),
        (claim("10Gi", "fast"), "has the class standard, and can't get fast: a volume keeps its class."),
        (claim("20Gi", "fast"), "has the class standard, and can't get fast: a volume keeps its class."),
    ],
)
def test_a_volume_neither_shrinks_nor_changes_its_class(asked: Object, said: str) -> None:
    (wanted,) = claims_of(asked)
    problem = unfit(wanted, claim("10Gi", "standard"))
    assert problem
    assert problem.code == VOLUME_FIXED.code
    assert problem.sentence == f"The volume data {said}"


@pytest.mark.parametrize(
    ("asked", "grows"),
    [
        (claim("10Gi"), False),
        (claim("10240Mi", "standard"), False),
        (claim("11Gi"), True),
        (claim("1Ti", "standard"), True),
    ],
)
def test_a_volume_may_stay_as_it_is_or_grow(asked: Object, grows: bool) -> None:
    (wanted,) = claims_of(asked)
    there = claim("10Gi", "standard")
    assert unfit(wanted, there) is None
    assert is_larger(wanted, there) is grows


def test_the_engines_claim_a_volume_for_each_pod_and_services_the_folders_that_they_keep(shop: Description) -> None:
    services = {"email": {"volumes": {"/kept": "3Gi", "/lost": ""}}}
    made = rendered(target_of(shop, services=services, telemetry={"collector": True}))
    found = {each.key.name: each.storage for one in made for each in claims_of(one)}
    assert found == {"data-postgres-0": "10Gi", "data-nats-0": "10Gi", "collector": "10Gi", "email-files-1": "3Gi"}


@pytest.mark.parametrize("asked", [claim("10Gi"), claim("10240Mi"), claim("10Gi", "standard")])
def test_a_stateful_set_that_asks_for_what_it_has_stays(asked: Object) -> None:
    live = stateful(claim("10Gi", "standard"))
    assert as_asked(live, stateful(asked)) == live


def test_a_stateful_set_that_asks_for_more_is_shown_with_it(shop: Description) -> None:
    live = stateful(claim("10Gi", "standard"))
    (template,) = items(as_asked(live, stateful(claim("20Gi"))), "spec", "volumeClaimTemplates")
    assert template == claim("20Gi", "standard")


def test_what_is_rolled_back_keeps_the_volumes_that_have_grown(shop: Description) -> None:
    # (PostgreSQL's; what the broker reads follows from its room, and stays as it was)
    old = find(rendered(target_of(shop)), "StatefulSet", "postgres")
    new = find(rendered(target_of(shop, engines={"postgres": {"storage": "20Gi"}})), "StatefulSet", "postgres")
    assert as_there(old, new) == new
    assert as_there(old, None) == old
    grown = {**claim("20Gi", "standard"), "status": {"phase": "Bound"}}
    assert mapping(as_there(claim("10Gi"), grown), "spec") == {"resources": {"requests": {"storage": "20Gi"}}}
