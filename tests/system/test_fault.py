"""`atoll fault` on a system that runs."""

import json
from collections.abc import Iterator

import pytest

from tests.system.runs import TARGET, Run, ask, atoll, copy_sample
from tests.waiting import until


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Run(copy_sample(tmp_path_factory.mktemp("project"))) as run:
        yield run.ready()


def order(run: Run, *what: str) -> str:
    found = atoll(run.folder, "fault", *what, "--system", TARGET)
    assert found.returncode == 0, found.stderr
    return found.stdout


def answered(run: Run) -> int:
    return ask(f"{run.url}/counts/nobody")[0]


def test_a_fault_shows_in_the_status_outlives_a_crash_and_ends_with_off(run: Run) -> None:
    assert answered(run) == 200
    assert order(run, "counter", "errors=1") == "counter-1: answers 500 to 100%\n"
    assert answered(run) == 500
    status = json.loads(atoll(run.folder, "status", TARGET, "--json").stdout)
    assert {row["name"]: row["fault"] for row in status["processes"]}["counter-1"] == "answers 500 to 100%"
    assert "on purpose" in atoll(run.folder, "status", TARGET).stdout
    # When it is killed, who takes its place does the same.
    pid = run.row("counter-1")["pid"]
    assert order(run, "counter", "kill") == "counter-1: killed\n"
    run.until_back("counter-1", pid)
    until(lambda: answered(run) == 500, "the new process fails as the old one did")
    assert order(run, "counter", "off") == "counter-1: no fault any more\n"
    until(lambda: answered(run) == 200, "it serves as ever")


def test_a_program_and_an_engine_can_only_be_killed(run: Run) -> None:
    found = atoll(run.folder, "fault", "echo", "errors=0.5", "--system", TARGET)
    assert found.returncode == 1
    assert "ATL4010" in found.stderr
    assert "it is a program" in found.stderr
    assert "an engine" in atoll(run.folder, "fault", "nats", "latency=1", "--system", TARGET).stderr
    for name in ("echo-1", "nats"):
        pid = run.row(name)["pid"]
        order(run, name, "kill")
        run.until_back(name, pid)
    assert "ATL1009" in atoll(run.folder, "fault", "nobody", "off", "--system", TARGET).stderr
