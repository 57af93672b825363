"""Who brings a namespace to something else, and what is gone back to, follow from its Lease alone."""

from datetime import UTC, datetime, timedelta

import pytest

from atoll.kubernetes.lease import LASTS, Terms, back_to, held_by, lease_object
from atoll.kubernetes.objects import mapping
from atoll.kubernetes.revision import previous
from atoll.wire.description import Description
from tests.kubernetes.targets import target_of

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("age", "who"), [(0, "mia"), (LASTS - 1, "mia"), (LASTS, "")])
def test_a_lease_is_held_until_its_holder_has_not_renewed_it_for_a_minute(
    shop: Description, age: int, who: str
) -> None:
    lease = lease_object(target_of(shop), Terms("mia", 3), NOW)
    assert held_by(lease, NOW + timedelta(seconds=age)) == who


def test_a_lease_that_was_given_back_is_held_by_nobody_and_says_where_to_go_back_to(shop: Description) -> None:
    lease = lease_object(target_of(shop), Terms("mia", 3), NOW)
    mapping(lease, "spec")["holderIdentity"] = ""
    assert held_by(lease, NOW) == ""
    assert back_to(lease) == 3
    assert back_to(None) is None


@pytest.mark.parametrize(
    ("kept", "left", "found"),
    [
        ([1, 2], None, 1),
        ([1], None, None),
        ([], None, None),
        # The second deployment failed: the first is the last that was whole.
        ([1], 1, 1),
        ([1, 2], 2, 2),
        # The first of all failed.
        ([], 0, None),
    ],
)
def test_a_rollback_goes_to_the_last_whole_revision_before_what_is_there(
    kept: list[int], left: int | None, found: int | None
) -> None:
    assert previous(kept, left) == found
