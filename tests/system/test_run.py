"""`atoll run` on real engines, looked at as a person does: by its commands, by HTTP, and by kill -9."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll.collector.query import LogFilter, Query, TraceFilter
from atoll.supervisor.control import sockets_folder
from tests.system.runs import TARGET, Run, alive, ask, atoll, copy_sample
from tests.waiting import until


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run for all tests that leave it as they found it."""
    with Run(copy_sample(tmp_path_factory.mktemp("project"))) as run:
        yield run.ready()


def heard(run: Run) -> int:
    return int(ask(f"{run.url}/heard")[1])


def test_a_call_goes_through_the_gateway_from_service_to_service_and_its_event_arrives(run: Run) -> None:
    before = heard(run)
    assert ask(f"{run.url}/hello/ann") == (200, '"Hello, ann, for the 1. time"')
    until(lambda: heard(run) > before, "the event is heard")


def test_a_program_in_any_language_is_served_below_its_path(run: Run) -> None:
    assert ask(f"{run.url}/echo/a/b?c=d") == (200, "echo /echo/a/b?c=d")


def test_a_path_that_nobody_serves_is_a_problem_document(run: Run) -> None:
    status, body = ask(f"{run.url}/nowhere")
    assert status == 404
    assert json.loads(body)["type"] == "urn:atoll:problem:not-found"


def test_a_service_can_be_asked_directly_and_says_that_it_is_ready(run: Run) -> None:
    row = run.row("counter-1")
    assert ask(f"http://127.0.0.1:{row['port']}/counts/nobody") == (200, '{"name":"nobody","value":0}')
    assert ask(f"http://127.0.0.1:{row['admin']}/health/ready")[0] == 200


def test_status_shows_every_process_with_its_port(run: Run) -> None:
    found = atoll(run.folder, "status", TARGET, "--json")
    assert found.returncode == 0, found.stderr
    status = json.loads(found.stdout)
    rows = {row["name"]: row for row in status["processes"]}
    assert list(rows) == ["postgres", "nats", "envoy", "counter-1", "greeter-1", "echo-1", "collector"]
    assert all(row["state"] == "ready" and row["port"] and row["pid"] for row in rows.values())
    assert "counter-1" in atoll(run.folder, "status", TARGET).stdout


def test_an_operation_is_called_by_name_with_the_types_it_declares(run: Run) -> None:
    found = atoll(run.folder, "call", "--system", TARGET, "counter.count", "name=carl", "--json")
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert answer["status"] == 200
    assert answer["body"] == {"name": "carl", "value": 1}


def test_a_call_of_what_is_not_there_names_what_is(run: Run) -> None:
    found = atoll(run.folder, "call", "--system", TARGET, "counter.cuont", "name=carl")
    assert found.returncode == 1
    assert "counter.count" in found.stderr
    missing = atoll(run.folder, "call", "--system", TARGET, "counter.count")
    assert missing.returncode == 2
    assert "name=VALUE" in missing.stderr


def test_a_call_is_one_trace_from_the_gateway_to_the_consumer_of_its_event(run: Run) -> None:
    ask(f"{run.url}/hello/trace")
    whole = [
        ("gateway", "server"),
        ("greeter", "server"),
        ("counter", "server"),
        ("counter", "producer"),
        ("greeter", "consumer"),
    ]
    hops: list[tuple[int, str, str]] = []

    def complete() -> bool:
        listed = json.loads(atoll(run.folder, "traces", "--system", TARGET, "--json").stdout)
        known = [trace for trace in listed if trace["name"] == "GET /hello/{name}" and "gateway" in trace["services"]]
        if not known:
            return False
        found = json.loads(atoll(run.folder, "traces", known[0]["trace"], "--system", TARGET, "--json").stdout)
        shown = [(row["depth"], row["service"], row["kind"]) for row in found["tree"]]
        hops[:] = [hop for hop in shown if hop[2] in ("server", "consumer", "producer")]
        # Each process tells of its own part when it likes.
        return [hop[1:] for hop in hops] == whole

    until(complete, "the whole trace is written", why=lambda: str(hops))
    depths = [depth for depth, _, _ in hops]
    assert depths == sorted(depths), "each below the one before"


def test_the_output_of_engines_and_programs_is_found_beside_that_of_services(run: Run) -> None:
    query = Query(Path(run.status["state"]) / "telemetry")

    def heard_of() -> set[str]:
        return {each.service for each in query.logs(LogFilter(limit=1_000))}

    until(lambda: {"postgres", "nats", "counter", "greeter"} <= heard_of(), "all of them are heard of")
    (line, *_) = query.logs(LogFilter(services=("counter",), text="serves at"))
    assert (line.replica, line.severity, line.attributes["logger"]) == ("counter-1", "info", "atoll.host")


def test_a_killed_collector_costs_no_request_and_gets_the_spans_that_waited_for_it(run: Run) -> None:
    query = Query(Path(run.status["state"]) / "telemetry")
    began, pid = time.time_ns(), run.pids()["collector"]
    os.kill(pid, signal.SIGKILL)
    assert [ask(f"{run.url}/hello/away")[0] for _ in range(20)] == [200] * 20
    until(lambda: run.row("collector")["pid"] not in (0, pid), "another one has taken its place")
    wanted = TraceFilter(service="counter", name="POST /counts/{name}", since=began, limit=100)
    until(lambda: len(query.traces(wanted)) == 20, "the spans of all requests are stored")


def test_logs_are_kept_for_each_process(run: Run) -> None:
    found = atoll(run.folder, "logs", "counter", "--system", TARGET, "--json")
    assert found.returncode == 0, found.stderr
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert {line["process"] for line in lines} == {"counter-1"}
    assert any("serves at" in line["line"]["message"] for line in lines)
    assert atoll(run.folder, "logs", "nobody", "--system", TARGET).returncode == 1


def test_psql_opens_the_database_of_a_service_and_no_other(run: Run) -> None:
    ask(f"{run.url}/counts/psql", method="POST")
    found = atoll(
        run.folder, "psql", "--system", TARGET, "counter", "-Atc", "SELECT value FROM counts WHERE name = 'psql'"
    )
    assert found.stdout.strip() == "1", found.stderr
    other = atoll(run.folder, "psql", "--system", TARGET, "counter", "-c", "\\c greeter")
    assert "permission denied" in other.stderr
    without = atoll(run.folder, "psql", "--system", TARGET, "postgres")
    assert "ATL1015  postgres has no database of its own." in without.stderr
    assert "counter" in without.stderr
    nobody = atoll(run.folder, "psql", "--system", TARGET, "contuer")
    assert "ATL1009  Nothing that runs here is called 'contuer'" in nobody.stderr


def test_no_event_is_dead(run: Run) -> None:
    found = atoll(run.folder, "events", "dead", "--system", TARGET, "--json")
    assert json.loads(found.stdout) == [], found.stderr


def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(run: Run) -> None:
    second = atoll(run.folder, "run", TARGET, "--json")
    assert second.returncode == 1
    (problem,) = json.loads(second.stdout)["problems"]
    assert problem["code"] == "ATL4003"
    assert str(run.process.pid) in problem["sentence"]
    assert ask(f"{run.url}/heard")[0] == 200


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(run: Run, tmp_path: Path) -> None:
    port = run.url.rpartition(":")[2]
    found = atoll(copy_sample(tmp_path), "run", TARGET, "--port", port)
    assert found.returncode == 1
    assert "ATL4004" in found.stderr
    assert "--port" in found.stderr


def test_passwords_are_readable_by_their_owner_alone(run: Run) -> None:
    folder = Path(run.status["state"]) / "secrets"
    assert {oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {"0o600"}
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    for file in folder.parent.glob("launch/*.json"):
        assert not any(secret.read_text() in file.read_text() for secret in folder.iterdir())


@pytest.mark.parametrize("name", ["counter-1", "greeter-1", "echo-1", "nats", "envoy", "postgres"])
def test_a_process_that_is_killed_is_back_and_the_table_says_what_happened(run: Run, name: str) -> None:
    before, restarts = run.pids()[name], run.row(name)["restarts"]
    os.kill(before, signal.SIGKILL)
    run.until_back(name, before)
    assert run.row(name)["restarts"] == restarts + 1
    assert run.said(f"{name} ended: killed by SIGKILL; starts again in")
    until(lambda: ask(f"{run.url}/hello/{name}")[0] == 200, "everything answers again")
    assert ask(f"{run.url}/echo/x")[0] == 200


def test_a_database_that_somebody_told_to_end_does_not_wait_for_its_services_for_ever(run: Run) -> None:
    # Given a service that keeps a connection
    assert ask(f"{run.url}/hello/eve")[0] == 200
    before = run.pids()["postgres"]
    # When somebody ends the database as one ends any process: to PostgreSQL it means to wait for its clients
    os.kill(before, signal.SIGTERM)
    # Then it is back all the same
    run.until_back("postgres", before)
    until(lambda: ask(f"{run.url}/hello/eve")[0] == 200, "everything answers again")


def test_ctrl_c_ends_everything_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    with Run(copy_sample(tmp_path)) as run:
        pids = run.ready().pids()
        assert run.interrupt() == 0
        assert alive(list(pids.values())) == []
        ended = [row["state"] for row in run.status["processes"]]
        assert set(ended) == {"stopped"}
        reasons = {row["name"]: row["reason"] for row in run.status["processes"]}
        assert reasons["counter-1"] == reasons["greeter-1"] == "exit status 0", "they drained by themselves"
        assert atoll(run.folder, "status", TARGET).returncode == 3
        state = Path(run.status["state"])
        assert sockets_folder(state) == state.resolve() or not sockets_folder(state).exists()
        # And the same folder can be run again at once, on the same data, with the code as it is now.
        file = tmp_path / "sample" / "greeter" / "service.py"
        file.write_text(file.read_text().replace('"Hello"', '"Good day"'))
        with Run(run.folder) as again:
            assert ask(f"{again.ready().url}/hello/ann") == (200, '"Good day, ann, for the 1. time"')
            assert again.interrupt(signal.SIGTERM) == 0


def test_after_kill_9_of_the_supervisor_the_next_run_takes_over(tmp_path: Path) -> None:
    with Run(copy_sample(tmp_path)) as run:
        run.ready()
        ask(f"{run.url}/hello/ann")
        pids = run.pids()
        run.process.kill()
        run.process.wait()
        with Run(run.folder) as following:
            following.ready()
            assert alive([pid for pid in pids.values() if pid not in following.pids().values()]) == []
            assert ask(f"{following.url}/hello/ann") == (200, '"Hello, ann, for the 2. time"')


def test_a_changed_service_is_replaced_without_a_failed_request(tmp_path: Path) -> None:
    with Run(copy_sample(tmp_path)) as run:
        old, counter = run.ready().pids()["greeter-1"], run.pids()["counter-1"]
        file = tmp_path / "sample" / "greeter" / "service.py"
        file.write_text(file.read_text().replace('"Hello"', '"Good day"'))
        answers: list[tuple[int, str]] = []

        def greets_anew() -> bool:
            answers.append(ask(f"{run.url}/hello/ann"))
            return "Good day" in answers[-1][1]

        until(greets_anew, "the new greeting")
        run.until_back("greeter-1", old)
        assert [status for status, _ in answers if status != 200] == []
        assert run.pids()["counter-1"] == counter, "who does not import the file goes on"


def test_a_syntax_error_keeps_the_old_code_serving_and_its_correction_is_taken_up(tmp_path: Path) -> None:
    with Run(copy_sample(tmp_path)) as run:
        old = run.ready().pids()["greeter-1"]
        file = tmp_path / "sample" / "greeter" / "service.py"
        source = file.read_text()
        file.write_text(source + "\ndef broken(:\n")
        until(lambda: bool(run.status["problems"]), "the problem is shown")
        (problem,) = run.status["problems"]
        assert problem["code"] == "ATL1002"
        assert problem["place"].startswith("sample/greeter/service.py:")
        assert run.pids()["greeter-1"] == old
        assert ask(f"{run.url}/hello/ann")[0] == 200
        file.write_text(source.replace('"Hello"', '"Welcome"'))
        run.until_back("greeter-1", old)
        assert run.status["problems"] == []
        assert "Welcome" in ask(f"{run.url}/hello/ann")[1]


def test_code_that_fails_only_when_it_starts_leaves_the_old_process_serving(tmp_path: Path) -> None:
    with Run(copy_sample(tmp_path)) as run:
        old = run.ready().pids()["greeter-1"]
        file = tmp_path / "sample" / "greeter" / "service.py"
        source = file.read_text()
        file.write_text(source.replace("self._counter = counter", "raise ValueError('not today')"))
        until(lambda: "the old one serves on" in run.row("greeter-1")["reason"], "the new one failed")
        assert "not today" in run.row("greeter-1")["reason"]
        assert run.pids()["greeter-1"] == old
        assert ask(f"{run.url}/hello/ann")[0] == 200


def test_a_new_migration_is_applied_while_the_system_runs(tmp_path: Path) -> None:
    with Run(copy_sample(tmp_path)) as run:
        run.ready()
        folder = tmp_path / "sample" / "counter" / "migrations"
        (folder / "0002_more.sql").write_text("INSERT INTO counts VALUES ('migrated', 42);")
        until(lambda: ask(f"{run.url}/counts/migrated")[1] == '{"name":"migrated","value":42}', "the new row")


def test_several_replicas_of_a_service_share_its_work(tmp_path: Path) -> None:
    with Run(copy_sample(tmp_path), "--replicas", "counter=2") as run:
        run.ready()
        names = [row["name"] for row in run.status["processes"] if row["service"] == "counter"]
        assert names == ["counter-1", "counter-2"]
        for number in range(40):
            assert ask(f"{run.url}/hello/{number}")[0] == 200

        def stored() -> int:
            return len(json.loads(atoll(run.folder, "traces", "--system", TARGET, "-n", "60", "--json").stdout))

        until(lambda: stored() >= 40, "the trace of each request is stored")


def test_a_replica_for_no_service_is_a_wrong_argument(tmp_path: Path) -> None:
    found = atoll(copy_sample(tmp_path), "run", TARGET, "--replicas", "cuonter=2")
    assert found.returncode == 2
    assert "counter" in found.stderr
