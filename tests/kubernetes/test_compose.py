import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread

import msgspec
import pytest
import yaml

from atoll.kubernetes.compose import completed, limit_of, render_compose, secrets_of
from atoll.kubernetes.names import GATEWAY, Object
from atoll.kubernetes.networking import edges
from atoll.kubernetes.objects import mapping
from atoll.model.launch import Collection, Launch
from atoll.model.references import FromEnvironment
from atoll.wire.description import Description
from tests.kubernetes.targets import target_of

PASSWORDS = [f"p{number}" for number in range(100)]


def services(files: dict[str, str]) -> dict[str, Object]:
    found: dict[str, Object] = yaml.safe_load(files["compose.yaml"])["services"]
    return found


def neighbours(made: dict[str, Object]) -> set[tuple[str, str]]:
    """Who shares a network with whom that is not the way out."""
    joined = {name: set(mapping(each, "networks")) - {"outside"} for name, each in made.items()}
    return {(a, b) for a in joined for b in joined if a != b and joined[a] & joined[b]}


def launches(files: dict[str, str]) -> list[str]:
    """The services that are written in Python."""
    return [path.removesuffix("/launch.json") for path in files if path.endswith("/launch.json")]


@pytest.fixture
def made(shop: Description) -> dict[str, Object]:
    return services(dict(render_compose(target_of(shop))))


def test_the_same_system_gives_the_same_bytes(shop: Description) -> None:
    assert render_compose(target_of(shop)) == render_compose(target_of(shop))


def test_whoever_calls_shares_the_network_of_who_is_called_and_only_the_gateway_leaves(
    shop: Description, made: dict[str, Object]
) -> None:
    expected = {(edge.source, edge.to) for edge in edges(target_of(shop, monitoring={"kind": "none"}))}
    found = {(name, network) for name, each in made.items() for network in mapping(each, "networks")}
    assert {each for each in found if each[0] != each[1] and each[1] != "outside"} == expected
    assert [name for name, network in sorted(found) if network == "outside"] == [GATEWAY]


def test_nothing_but_the_gateway_publishes_a_port_and_that_one_on_loopback(made: dict[str, Object]) -> None:
    published = {name: each["ports"] for name, each in made.items() if "ports" in each}
    assert published == {GATEWAY: ["${GATEWAY_ADDRESS:-127.0.0.1:8080}:8080"]}


def test_every_container_has_no_rights_and_a_root_that_can_not_be_written(made: dict[str, Object]) -> None:
    for name, each in made.items():
        assert each["cap_drop"] == ["ALL"]
        assert each["read_only"] is True
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert (each["user"] == "0:0") == (name == "volumes")  # which may change owners, and sees no network


def test_another_configuration_makes_the_container_anew(shop: Description) -> None:
    one = services(dict(render_compose(target_of(shop))))
    other = services(dict(render_compose(target_of(shop, gateway={"tls": "certificate"}))))
    assert mapping(one["gateway"], "labels") != mapping(other["gateway"], "labels")
    assert mapping(one["cart"], "labels") == mapping(other["cart"], "labels")


def test_passwords_are_made_once_and_what_is_there_stays(shop: Description) -> None:
    target = target_of(shop)
    first, missing = completed("MINE=1\nNATS_ADMIN_PASSWORD=kept", target, PASSWORDS)
    assert missing == ()
    assert first.startswith("MINE=1\nNATS_ADMIN_PASSWORD=kept\n")
    assert "DB_SECRET_URL=postgresql://users:p" in first
    assert completed(first, target, PASSWORDS) == (first, ())
    lines = [line for line in first.splitlines() if line.startswith(("NATS", "DB", "CART", "POSTGRES"))]
    assert len({line.partition("=")[2] for line in lines}) == len(lines)


def test_a_secret_that_is_not_generated_is_asked_for_by_its_name(shop: Description) -> None:
    target = target_of(shop, secrets={})
    text, missing = completed("", target, (f"p{number}" for number in count()))
    assert "DB_SECRET_URL" in [each.variable for each in missing]
    assert "DB_SECRET_URL=\n" in text


def test_every_variable_that_is_read_is_in_the_file_of_secrets(shop: Description) -> None:
    target = target_of(shop)
    text = render_compose(target)["compose.yaml"]
    assert {each.variable for each in secrets_of(target)} == {
        part.partition(":?")[0] for part in text.split("${")[1:] if ":?" in part.partition("}")[0]
    }


@pytest.mark.parametrize(
    ("quantity", "limit"), [("512Mi", "512m"), ("1Gi", "1024m"), ("1.5Gi", "1536m"), ("500M", "500000000b")]
)
def test_a_quantity_of_memory_is_written_as_compose_has_it(quantity: str, limit: str) -> None:
    assert limit_of(quantity) == limit


def test_with_a_dashboard_services_send_their_lines_and_its_pages_ask_for_a_token(shop: Description) -> None:
    target = target_of(shop, telemetry={"collector": True, "dashboard": True, "storage": "5Gi"})
    files = dict(render_compose(target))
    made = services(files)
    collector = made["collector"]
    assert collector["ports"] == ["${DASHBOARD_ADDRESS:-127.0.0.1:8090}:8090"]
    assert "collector:/var/lib/atoll" in collector["volumes"]  # type: ignore[operator]
    document = msgspec.json.decode(files["collector/collection.json"], type=Collection)
    assert document.namespace == ""
    assert document.dashboard is not None
    assert (document.dashboard.listen, document.dashboard.token) == ("0.0.0.0:8090", FromEnvironment("DASHBOARD_TOKEN"))
    launch = msgspec.json.decode(files["users/launch.json"], type=Launch)
    assert (launch.telemetry.endpoint, launch.telemetry.sends_logs) == ("http://collector:4318", True)
    # Whoever sends reaches it, and by it nobody that it did not reach before; the token is made once.
    before = neighbours(services(dict(render_compose(target_of(shop)))))
    after = neighbours(made)
    assert {name for name, other in after if other == "collector"} >= {"gateway", "nats", *launches(files)}
    assert {pair for pair in after if "collector" not in pair} == before
    variables = {each.variable: each.around for each in secrets_of(target)}
    assert variables["DASHBOARD_TOKEN"] == variables["NATS_COLLECTOR_PASSWORD"] == ("", "")


def test_a_program_runs_where_it_does_in_a_cluster_and_is_asked_whether_it_is_well(
    shop: Description, made: dict[str, Object]
) -> None:
    program = made["recommendation"]
    assert program["working_dir"] == "/app"
    asks = question(program)
    assert "http://127.0.0.1:8080/health" in asks
    # An image that knows itself how to ask is left to it.
    assert "healthcheck" not in services(dict(render_compose(target_of(shop), {"recommendation"})))["recommendation"]


@pytest.mark.parametrize(("status", "is_well"), [(200, True), (503, False)])
def test_the_question_is_asked_with_whatever_an_image_has(
    made: dict[str, Object], status: int, is_well: bool, tmp_path: Path
) -> None:
    # Given a program that answers, and images that have one tool each
    asks = question(made["recommendation"])
    found = {name: path for name in ("curl", "wget", "node") if (path := shutil.which(name))}
    found["python3"] = os.path.realpath(sys.executable)
    with answering(status) as port:
        for name, path in found.items():
            tools = tmp_path / name
            tools.mkdir()
            (tools / name).symlink_to(path)
            # When each asks
            command = ["/bin/sh", "-c", asks.replace(":8080", f":{port}")]
            ended = subprocess.run(command, env={"PATH": str(tools)}, timeout=20, check=False)
            # Then it knows
            assert (ended.returncode == 0) == is_well, name


def question(service: Object) -> str:
    """The command that asks whether it is well."""
    test = mapping(service, "healthcheck")["test"]
    assert isinstance(test, list)
    assert test[0] == "CMD-SHELL"
    return str(test[1])


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A port of loopback that answers each request so."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
