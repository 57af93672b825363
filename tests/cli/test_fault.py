"""What `atoll fault` understands."""

import pytest

from atoll.cli.fault import read
from atoll.errors import AtollError
from atoll.model.launch import InjectedFault
from atoll.supervisor.faults import FaultAsked


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("payment errors=0.5", FaultAsked(("payment",), InjectedFault(errors=0.5))),
        ("payment latency=0.8 cart errors=1", FaultAsked(("payment", "cart"), InjectedFault(1.0, 0.8))),
        ("payment-1 kill", FaultAsked(("payment-1",), kill=True)),
        ("payment off", FaultAsked(("payment",), InjectedFault())),
    ],
)
def test_services_and_a_fault_in_any_order(line: str, asked: FaultAsked) -> None:
    assert read(line.split()) == asked


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("errors=0.5", "no service is named"),
        ("payment", "it needs one kind of fault"),
        ("payment off errors=0.5", "it needs one kind of fault"),
        ("payment kill off", "it needs one kind of fault"),
        ("payment errors=2", "errors is a share from 0 to 1"),
        ("payment errors=-1", "errors is a share from 0 to 1"),
        ("payment errors=nan", "errors is a share from 0 to 1"),
        ("payment errors=many", "errors is a share from 0 to 1"),
        ("payment errors=", "errors is a share from 0 to 1"),
        ("payment latency=61", "latency is 0 to 60 seconds"),
        ("payment latency=0.1s", "latency is 0 to 60 seconds"),
        ("payment slow=1", "slow is no kind of fault"),
    ],
)
def test_what_is_no_fault_says_what_is(line: str, reason: str) -> None:
    with pytest.raises(AtollError) as caught:
        read(line.split())
    (problem,) = caught.value.problems
    assert reason in problem.sentence
    assert "errors=0.5" in problem.do


@pytest.mark.parametrize("line", ["payment errors=0.5 errors=0.1", "payment latency=1 cart errors=1 latency=1"])
def test_a_kind_is_told_once(line: str) -> None:
    with pytest.raises(AtollError, match=r"(errors|latency) is told twice"):
        read(line.split())
