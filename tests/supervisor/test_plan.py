"""The plan of a system on one machine."""

from pathlib import Path

import msgspec
from msgspec.structs import replace

from atoll.engines.declared import engines_of
from atoll.engines.nats import Consumer
from atoll.model.launch import StreamOf
from atoll.model.references import FromFile
from atoll.supervisor.environment import Engines
from atoll.supervisor.home import Home
from atoll.supervisor.plan import (
    Options,
    Plan,
    credentials,
    plan,
    planned,
    ports_needed,
    unknown_replicas,
    without_credentials,
)
from atoll.wire.description import Description
from tests.supervisor.described import sample

HOME = Home(Path("/project/.atoll/sample"))


def make(
    description: Description,
    options: Options | None = None,
    addresses: Engines | None = None,
    programs: dict[str, str] | None = None,
) -> Plan:
    options, addresses = options or Options(), addresses or Engines()
    ports = {
        wish.name: wish.wanted or 20_000 + n for n, wish in enumerate(ports_needed(description, options, addresses))
    }
    found = {"python3": "/usr/bin/python3"} if programs is None else programs
    return plan(description, HOME, options, addresses, ports, found)


def without(description: Description, *names: str) -> Description:
    members = tuple(each for each in description.members if each.name not in names)
    return msgspec.structs.replace(description, members=members)


def test_an_engine_is_started_only_for_who_asks_for_it() -> None:
    whole = sample()
    assert engines_of(whole) == ("postgres", "nats", "envoy")
    assert engines_of(without(whole, "counter", "greeter")) == ("envoy",)
    assert engines_of(msgspec.structs.replace(without(whole, "counter", "greeter"), gateway=None)) == ()


def test_an_engine_with_an_address_is_not_started() -> None:
    made = make(
        sample(), addresses=Engines(postgres="postgresql://me:pw@db.example/postgres", nats="nats://a:b@mq:4222")
    )
    assert made.engines == ("envoy",)
    counter = made.process("counter-1")
    assert counter is not None
    assert counter.needs == ()
    assert counter.launch is not None
    assert counter.launch.messaging is not None
    assert (counter.launch.messaging.url, counter.launch.messaging.user) == ("nats://mq:4222", "a")
    assert made.databases == {"counter": "counter", "greeter": "greeter"}


def test_every_replica_has_ports_of_its_own_and_callers_know_them_all() -> None:
    made = make(sample(), Options(replicas={"counter": 3}))
    counters = [each for each in made.processes if each.service == "counter"]
    assert [each.name for each in counters] == ["counter-1", "counter-2", "counter-3"]
    ports = [port for each in made.processes for port in (each.port, *each.admin)]
    assert len(set(ports)) == len(ports)
    greeter = made.process("greeter-1")
    assert greeter is not None
    assert greeter.launch is not None
    (call,) = greeter.launch.calls
    assert call.service == "counter"
    assert call.addresses == tuple(f"http://127.0.0.1:{each.port}" for each in counters)


def test_a_launch_document_holds_no_secret_only_where_it_is() -> None:
    made = make(sample())
    counter = made.process("counter-1")
    assert counter is not None
    assert counter.launch is not None
    assert counter.launch.database is not None
    assert counter.launch.database.dsn == FromFile("/project/.atoll/sample/secrets/dsn-counter")
    assert counter.launch.messaging is not None
    assert counter.launch.messaging.password == FromFile("/project/.atoll/sample/secrets/nats-counter")
    assert all(account.password == "" for account in made.accounts)


def test_a_service_may_publish_its_topics_and_read_its_consumers_and_nothing_else() -> None:
    accounts = {each.user: each for each in make(sample()).accounts}
    assert accounts["counter"].publishes == ("evt.sample.counted",)
    assert accounts["counter"].consumes == ()
    assert accounts["greeter"].publishes == ("dead.sample.counted.greeter-remember",)
    assert accounts["greeter"].consumes == (Consumer("sample-counted", "greeter-remember"),)


def test_what_has_to_be_there_before_a_service_starts_is_in_its_preparation() -> None:
    made = make(sample())
    assert set(made.preparations) == {"counter", "greeter"}
    counter = made.preparations["counter"]
    assert counter.migrations.endswith("sample/counter/migrations")
    assert (counter.streams, counter.user) == ((StreamOf("counted"),), "admin")
    assert [each.durable for each in made.preparations["greeter"].consumes] == ["greeter-remember"]


def test_what_a_topic_keeps_is_in_the_preparation_of_all_who_have_it_and_an_inbox_remembers_longer() -> None:
    declared = sample()
    topics = tuple(replace(each, kept_seconds=86_400.0, kept_bytes=2**30) for each in declared.topics)
    made = make(replace(declared, topics=topics))
    assert {each.streams for each in made.preparations.values()} == {(StreamOf("counted", 86_400.0, 2**30),)}
    greeter = made.process("greeter-1")
    assert greeter is not None
    assert greeter.launch is not None
    assert greeter.launch.messaging is not None
    assert greeter.launch.messaging.remembered == 2 * 86_400.0


def test_a_program_finds_its_port_and_address_in_its_environment() -> None:
    plan_ = make(sample())
    echo = plan_.process("echo-1")
    assert echo is not None
    assert echo.command == ("/usr/bin/python3", "echo.py")
    assert echo.directory == FOLDER / "echo"
    assert {name: getattr(source, "value", "") for name, source in echo.environment.items()} == {
        "HOST": "127.0.0.1",
        "PORT": str(echo.port),
        "ATOLL_SERVICE": "echo",
        "OTEL_SERVICE_NAME": "echo",
        "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=echo-1,service.namespace=sample",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{plan_.collection.listen}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    assert not echo.replaceable


FOLDER = Path(sample().folder)


def test_a_program_that_is_missing_is_left_out_and_the_rest_runs() -> None:
    known = planned(make(sample(), programs={}))
    left_out = [each for each in known.processes if each.state == "left out"]
    assert [each.name for each in left_out] == ["echo-1"]
    assert "this machine has no python3" in left_out[0].reason


def test_processes_wait_for_the_engines_they_use() -> None:
    needs = {each.name: each.needs for each in planned(make(sample())).processes}
    assert needs["counter-1"] == ("postgres", "nats")
    assert needs["echo-1"] == ()
    assert needs["envoy"] == ()


def test_a_name_that_no_service_has_is_refused_with_those_there_are() -> None:
    (problem,) = unknown_replicas(sample(), Options(replicas={"countr": 2}))
    assert "--replicas countr=2" in problem.sentence
    assert problem.has[0] == "counter"


def test_replicas_are_bounded() -> None:
    assert len(unknown_replicas(sample(), Options(replicas={"counter": 101}))) == 1
    assert unknown_replicas(sample(), Options(replicas={"counter": 0, "greeter": 100})) == []


def test_the_credentials_of_an_address_are_taken_apart() -> None:
    assert credentials("nats://me:p%40ss@mq.example:4222") == ("me", "p@ss")
    assert without_credentials("nats://me:p%40ss@mq.example:4222") == "nats://mq.example:4222"
    assert credentials("nats://mq.example:4222") == ("", "")


def test_the_dashboard_asks_for_a_token_but_on_loopback() -> None:
    asks = {"": False, "127.0.0.1:9000": False, "[::1]:9000": False, "localhost:9000": False, "0.0.0.0:9000": True}
    for address, wants_token in asks.items():
        dashboard = make(sample(), Options(dashboard=address)).collection.dashboard
        assert dashboard is not None
        assert dashboard.listen.rpartition(":")[0] == (address.rpartition(":")[0] or "127.0.0.1")
        assert dashboard.token == (FromFile(str(HOME.dashboard_token)) if wants_token else None)
