"""What a test can do with a system that runs."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from atoll import AtollError
from atoll.model.contract import Contract
from atoll.testing import Running, running, running_in_background
from tests.waiting import eventually

SAMPLE = Path(__file__).parent.parent / "system" / "sample" / "sample"
TARGET = "sample.system:system"
CALLS = 30


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(SAMPLE, tmp_path / "sample", ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    return tmp_path


@pytest.fixture
async def system(project: Path) -> AsyncIterator[Running]:
    async with running(TARGET, project, variables=os.environ, replicas={"counter": 2}) as system:
        yield system


async def test_a_typed_client_calls_and_what_it_caused_is_a_trace(
    system: Running, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a client of the contract, as the test's own code imports it
    monkeypatch.syspath_prepend(str(project))
    from sample.counter.contract import Count, Counter

    async with system.client(Counter) as counter:
        # When it counts through two replicas, of which each call takes one by chance
        counts = [await counter.count("ann") for _ in range(CALLS)]
    # Then the counts are of the contract's own type, and each call has its trace down to the consumer of its event
    assert counts == [Count("ann", number) for number in range(1, CALLS + 1)]

    def complete() -> bool:
        whole = [trace for trace in system.traces() if {"counter", "greeter"} <= set(trace.services)]
        return len(whole) == CALLS

    await eventually(complete)
    replicas = {span.replica for trace in system.traces() for span in trace.spans if span.service == "counter"}
    assert replicas == {"counter-1", "counter-2"}
    for name in [name for name in sys.modules if name.partition(".")[0] == "sample"]:
        monkeypatch.delitem(sys.modules, name)


async def test_a_process_that_is_killed_is_waited_for_until_all_serves_again(system: Running) -> None:
    before = {each.name: each.pid for each in system.status().processes}
    status = await system.killed("counter-2")
    after = {each.name: each.pid for each in status.processes}
    assert status.ready
    assert {name for name in before if before[name] != after[name]} == {"counter-2"}


async def test_names_that_nothing_has_are_refused_with_those_there_are(system: Running) -> None:
    with pytest.raises(AtollError) as caught:
        system.kill("counter-3")
    assert "counter-2" in caught.value.problems[0].has
    with pytest.raises(AtollError, match="Contract"):
        async with system.client(Contract):
            raise AssertionError("never reached")


def test_a_synchronous_test_has_the_system_in_a_thread_and_its_data_can_be_forgotten(project: Path) -> None:
    import urllib.request

    def greet(system: Running) -> str:
        answer: bytes = urllib.request.urlopen(f"{system.url}/hello/ann", timeout=5).read()
        return answer.decode()

    for fresh, expected in ((False, 1), (False, 2), (True, 1)):
        with running_in_background(TARGET, project, variables=os.environ, namespace="test", fresh=fresh) as system:
            assert greet(system) == f'"Hello, ann, for the {expected}. time"'
            assert system.status().state.endswith("sample-test")


def test_what_is_wrong_is_raised_where_the_test_sees_it(project: Path) -> None:
    (project / "sample" / "system.py").write_text("def broken(:")
    with (
        pytest.raises(AtollError, match="ATL1002"),
        running_in_background(TARGET, project, variables=os.environ),
    ):
        raise AssertionError("never reached")
