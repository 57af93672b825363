"""Ports, chosen on the real machine."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll.errors import AtollError
from atoll.supervisor.plan import PortWish
from atoll.supervisor.ports import FIRST, LAST, Holding, choose_ports, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture
def holding() -> Iterator[Holding]:
    made = Holding()
    yield made
    made.release()


def test_chosen_ports_are_free_different_and_below_those_of_clients(tmp_path: Path, holding: Holding) -> None:
    ports = choose_ports([PortWish(f"users-{n}") for n in range(20)], tmp_path, {}, holding)
    assert len(set(ports.values())) == 20
    assert all(FIRST <= port < LAST and is_free(port) for port in ports.values())


def test_the_same_ports_are_chosen_again(tmp_path: Path, holding: Holding) -> None:
    wishes = [PortWish("users-1"), PortWish("cart-1")]
    first = choose_ports(wishes, tmp_path, {}, holding)
    assert choose_ports(list(reversed(wishes)), tmp_path, {}, holding) == first


def test_a_kept_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path, holding: Holding) -> None:
    first = choose_ports([PortWish("users-1")], tmp_path, {}, holding)
    with socket.create_server(("127.0.0.1", first["users-1"])):
        second = choose_ports([PortWish("users-1")], tmp_path, {}, holding)
    assert second != first


def test_a_port_that_this_run_listens_on_already_is_kept(tmp_path: Path, holding: Holding) -> None:
    first = choose_ports([PortWish("users-1")], tmp_path, {}, holding)
    with socket.create_server(("127.0.0.1", first["users-1"])):
        assert choose_ports([PortWish("users-1")], tmp_path, first, holding) == first


def test_every_declared_port_that_is_taken_is_reported_with_what_to_do(
    tmp_path: Path, holding: Holding, taken: int
) -> None:
    with pytest.raises(AtollError) as caught:
        choose_ports([PortWish("gateway", taken, "--port"), PortWish("users-1", taken, "port=")], tmp_path, {}, holding)
    assert [problem.code for problem in caught.value.problems] == ["ATL4004", "ATL4004"]
    assert "--port" in caught.value.problems[0].do


def test_a_broken_file_of_kept_ports_is_no_obstacle(tmp_path: Path, holding: Holding) -> None:
    (tmp_path / "ports.json").write_text('{"users-1": ')
    assert set(choose_ports([PortWish("users-1")], tmp_path, {}, holding)) == {"users-1"}


def test_a_preferred_port_is_taken_if_it_is_free_and_else_any_is(tmp_path: Path, holding: Holding, taken: int) -> None:
    assert choose_ports([PortWish("dashboard", preferred=taken)], tmp_path, {}, holding)["dashboard"] != taken
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    assert choose_ports([PortWish("dashboard", preferred=free)], tmp_path, {}, holding) == {"dashboard": free}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has names of sockets that are no files")
def test_another_run_chooses_no_port_that_one_has_chosen_and_does_not_listen_on_yet(
    tmp_path: Path, holding: Holding
) -> None:
    wish, other = [PortWish("users-1")], Holding()
    mine = choose_ports(wish, tmp_path, {}, holding)
    try:
        assert choose_ports(wish, tmp_path, {}, other) != mine
        with pytest.raises(AtollError, match="ATL4004"):
            choose_ports([PortWish("gateway", mine["users-1"], "--port")], tmp_path, {}, other)
        # Until it is over.
        holding.release()
        assert other.take(mine["users-1"])
    finally:
        other.release()
