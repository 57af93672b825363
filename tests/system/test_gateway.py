"""The gateway of a system that runs here, from outside and from behind."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll.engines import versions
from atoll.kubernetes.environment import Environment, WayIn
from atoll.kubernetes.gateway import API_KEYS, envoy_configuration
from atoll.kubernetes.names import Target
from atoll.provision.programs import find_program
from atoll.supervisor.children import Python, describe
from tests.ports import free_port
from tests.system import gateway_table
from tests.system.every_gateway import EveryGateway
from tests.system.gateway_table import Callers, Case, Gate
from tests.system.runs import Run, ask, atoll, copy_gated, written
from tests.waiting import until

TARGET = "gated.system:system"


@pytest.fixture(scope="module")
def callers() -> Callers:
    return Callers()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, callers: Callers) -> Iterator[Run]:
    folder = copy_gated(tmp_path_factory.mktemp("gated"), callers.jwks, callers.api_keys)
    with Run(folder, target=TARGET) as run:
        gate = Gate(run.ready().url, callers)
        (folder / "gated" / "shut").touch()
        assert atoll(folder, "fault", "shut", "kill", "--system", TARGET).returncode == 0
        until(lambda: run.row("shut-1")["crashes"] > 1, "it does not start again")
        until(gate.is_shut, "what is down is known to be so")
        yield run


@pytest.fixture
def gate(run: Run, callers: Callers) -> Gate:
    return Gate(run.url, callers)


class TestGateway(EveryGateway):
    pass


@pytest.fixture(scope="module")
def rendered(run: Run, callers: Callers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """The gateway as rendered for a cluster, in front of the same services: only the addresses are others."""
    folder = tmp_path_factory.mktemp("rendered")
    python = Python(dict(os.environ), sys.executable)
    alone = Environment(gateway=WayIn(replicas=1))  # with others it would have a share of the limits
    told = json.loads(envoy_configuration(Target(asyncio.run(describe(python, TARGET, run.folder)), alone, {})))
    port, admin = free_port(), free_port()
    told["admin"]["address"]["socket_address"]["port_value"] = free_port()
    for listener, number in zip(told["static_resources"]["listeners"], (port, admin), strict=True):
        listener["address"]["socket_address"]["port_value"] = number
        if listener["name"] == "gateway":
            manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
            manager["access_log"][0]["typed_config"]["path"] = str(folder / "access.log")
    for cluster in told["static_resources"]["clusters"]:
        for group in cluster["load_assignment"]["endpoints"]:
            for each in group["lb_endpoints"]:
                address = each["endpoint"]["address"]["socket_address"]
                name = str(address["address"]).removesuffix("-pods")
                if name != "127.0.0.1":
                    row = run.row(f"{name}-1")
                    address |= {"address": "127.0.0.1", "port_value": row["port"]}
                    each["endpoint"]["health_check_config"]["port_value"] = row["admin"]
                else:
                    address["port_value"] = told["admin"]["address"]["socket_address"]["port_value"]
    (folder / "envoy.json").write_text(json.dumps(told))
    command = [
        str(find_program(versions.ENVOY)),
        "-c",
        str(folder / "envoy.json"),
        "--disable-hot-restart",
        "-l",
        "error",
    ]
    with subprocess.Popen(command, env={**os.environ, API_KEYS: callers.api_keys}) as envoy:
        try:
            until(lambda: ask(f"http://127.0.0.1:{admin}/ready")[0] == 200, "ready")
            until(lambda: ask(f"http://127.0.0.1:{port}/echo/x")[0] == 200, "replicas are found healthy")
            yield Gate(f"http://127.0.0.1:{port}", callers)
        finally:
            envoy.kill()


class TestGatewayRenderedForACluster(EveryGateway):
    @pytest.fixture
    def gate(self, rendered: Gate) -> Gate:
        return rendered


def test_what_a_cluster_is_given_refuses_this_machines_own_tokens(run: Run, rendered: Gate) -> None:
    made = atoll(run.folder, "token", "--system", TARGET, "--subject", "ada")
    assert rendered.send("GET", "/me", {"authorization": f"Bearer {made.stdout.strip()}"}).status == 401


def test_a_service_looks_at_scopes_also_where_no_gateway_is(run: Run) -> None:
    port = run.row("ledger-1")["port"]
    status, body = ask(f"http://127.0.0.1:{port}/book")
    assert (status, json.loads(body)["type"]) == (403, "urn:atoll:problem:forbidden")


def test_a_token_of_this_machines_own_issuer_is_good_here(run: Run, gate: Gate) -> None:
    made = atoll(run.folder, "token", "--system", TARGET, "--subject", "ada", "--scopes", "orders:write refunds:write")
    assert made.returncode == 0, made.stderr
    answer = gate.send("POST", "/refunds", {"authorization": f"Bearer {made.stdout.strip()}"}, gateway_table.ORDER)
    assert answer.json == {"subject": "ada", "scopes": ["orders:write", "refunds:write"]}
    late = atoll(run.folder, "token", "--system", TARGET, "--subject", "ada", "--expires", "-3600", "--json")
    expired = json.loads(late.stdout)["token"]
    assert gate.send("GET", "/me", {"authorization": f"Bearer {expired}"}).status == 401


def test_the_key_of_the_local_issuer_is_readable_by_its_owner_alone(run: Run) -> None:
    key = Path(run.status["state"]) / "secrets" / "issuer-key"
    assert oct(key.stat().st_mode & 0o777) == "0o600"
    private = "".join(key.read_text().splitlines()[1:-1]).encode()
    files = [(file, content) for file, content in written(key.parents[1]) if file.suffix == ".json"]
    assert files
    assert [file for file, content in files if private[:40] in content] == []


def test_no_api_key_is_written_down_anywhere(run: Run, callers: Callers) -> None:
    files = list(written(Path(run.status["state"])))
    assert len(files) > 10
    value = callers.partner.partition(".")[2].encode()
    assert [file for file, content in files if value in content] == []


def test_a_gateway_that_is_declared_differently_is_followed(tmp_path: Path, callers: Callers) -> None:
    folder = copy_gated(tmp_path, callers.jwks, callers.api_keys)
    with Run(folder, target=TARGET) as run:
        gate = Gate(run.ready().url, callers)
        assert gate.ask(Case("", 0)).status == 401
        old = run.pids()["envoy"]
        # Another issuer's key set, and another limit.
        following = Callers()
        (folder / "gated" / "keys.json").write_text(following.jwks)
        run.until_back("envoy", old)
        assert gate.ask(Case("", 0, who="ada: a")).status == 401
        assert Gate(run.url, following).ask(Case("", 0, who="ada: a")).status == 200
