"""Processes by the names that people know them by."""

import pytest

from atoll.errors import NO_SUCH_PROCESS, AtollError
from atoll.supervisor.state import Known, Process
from atoll.supervisor.status import named

ENVOY = Process("envoy", "engine", "envoy")
USERS = (Process("users-1", "service", "users"), Process("users-2", "service", "users"))


def known(*processes: Process) -> Known:
    return Known({each.name: each for each in processes})


@pytest.mark.parametrize("name", ["gateway", "envoy"])
def test_the_gateway_of_the_map_is_envoy(name: str) -> None:
    assert named(known(ENVOY, *USERS), name) == (ENVOY,)


def test_a_service_that_is_called_gateway_is_itself() -> None:
    own = Process("gateway-1", "service", "gateway")
    assert named(known(ENVOY, own), "gateway") == (own,)


def test_a_service_is_all_of_its_processes_and_a_process_is_one() -> None:
    assert named(known(ENVOY, *USERS), "users") == USERS
    assert named(known(ENVOY, *USERS), "users-2") == USERS[1:]


def test_who_is_not_there_is_told_who_is() -> None:
    with pytest.raises(AtollError) as caught:
        named(known(ENVOY, *USERS), "user")
    (problem,) = caught.value.problems
    assert (problem.code, problem.has) == (NO_SUCH_PROCESS.code, ("users", "envoy"))
