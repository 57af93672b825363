"""The gateway of a system that runs here, from outside and from behind."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import gateway_table
from tests.system.gateway_table import CASES, RAW, Callers, Case, Gate
from tests.system.runs import Run, ask, atoll, copy_gated

TARGET = "gated.system:system"


@pytest.fixture(scope="module")
def callers() -> Callers:
    return Callers()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, callers: Callers) -> Iterator[Run]:
    folder = copy_gated(tmp_path_factory.mktemp("gated"), callers.jwks, callers.api_keys)
    with Run(folder, target=TARGET) as run:
        yield run.ready()


@pytest.fixture
def gate(run: Run, callers: Callers) -> Gate:
    return Gate(run.url, callers)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_request_gets_the_answer_of_the_table(gate: Gate, case: Case) -> None:
    assert gateway_table.answered(gate, case)


@pytest.mark.parametrize(("name", "head", "status"), RAW, ids=lambda value: value if isinstance(value, str) else "")
def test_what_two_servers_could_read_differently_is_refused(gate: Gate, name: str, head: bytes, status: int) -> None:
    assert gate.send_raw(head) == status, name


def test_a_refusal_gives_no_hint_of_what_was_wrong(gate: Gate) -> None:
    assert len(gateway_table.refusals(gate)) == 1


def test_what_makes_a_caller_known_ends_at_the_gateway(gate: Gate) -> None:
    assert gateway_table.leaks(gate) == []


def test_who_asks_too_often_is_told_when_to_come_back(gate: Gate) -> None:
    # Five a minute, and one may come back meanwhile.
    assert gateway_table.hurried(gate) in (5, 6)
    assert gate.ask(Case("", 0, who="pia: a")).status == 200, "somebody else's"


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
    private = "".join(key.read_text().splitlines()[1:-1])
    written = [file for file in key.parents[1].rglob("*.json") if private[:40] in file.read_text()]
    assert written == []


def test_no_api_key_is_written_down_anywhere(run: Run, callers: Callers) -> None:
    state = Path(run.status["state"])
    files = [Path(root) / name for root, _, names in os.walk(state) for name in names]
    assert len(files) > 10
    value = callers.partner.partition(".")[2].encode()
    assert [file for file in files if file.is_file() and value in file.read_bytes()] == []


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
