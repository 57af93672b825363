"""A Job that failed, when its cause is mended and the same is deployed again."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from atoll.kubernetes.deploy import Changes, carry_out
from atoll.kubernetes.names import Object
from atoll.kubernetes.rollout import Row
from tests.kubernetes.api_server import LABELS, Server, connected

NAME = "jobs/users-prepare-1"
JOB: Object = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "users-prepare-1", "labels": LABELS},
    "spec": {"template": {"metadata": {"labels": {"app": "users-prepare"}}}},
}
FAILED = {"type": "Failed", "status": "True"}
COMPLETE = {"type": "Complete", "status": "True"}


@pytest.mark.parametrize(
    ("status", "again"),
    [
        ({"failed": 3, "conditions": [], "active": 0}, True),
        # Its next try may be one of before the cause was mended.
        ({"failed": 3, "conditions": [], "active": 1}, True),
        ({"failed": 21, "conditions": [FAILED]}, True),
        ({"failed": 1, "conditions": [FAILED]}, True),
        # It is on its way, or there.
        ({"failed": 2, "conditions": [], "active": 1}, False),
        ({"active": 1}, False),
        ({"failed": 3, "conditions": [COMPLETE]}, False),
    ],
)
async def test_what_was_given_up_is_made_anew_before_it_is_waited_for(
    server: Server, tmp_path: Path, status: Object, *, again: bool
) -> None:
    server.put(NAME, {**JOB, "status": status})

    def finish(_: Sequence[Row]) -> None:
        """As it does once its cause is mended."""
        server.put(NAME, {**server.objects[NAME], "status": {"conditions": [COMPLETE]}})

    async def confirm() -> None:
        pass

    async with connected(server, tmp_path) as api:
        await carry_out(api, "shop", {"users": [JOB]}, Changes((), ()), confirm, finish, 5.0)
    assert server.asked == ([f"DELETE {NAME}", f"PATCH {NAME}"] if again else [])
