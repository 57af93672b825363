"""Cycles in the call graph."""

from atoll.cli.graph import cycles, lines
from atoll.wire.description import CallData, Description, MemberData


def system(**calls: str) -> Description:
    members = tuple(
        MemberData(name=name, kind="service", calls=tuple(CallData("x", "", to) for to in called.split()))
        for name, called in calls.items()
    )
    return Description(name="s", folder="/s", import_path=(), members=members)


def test_each_cycle_is_found_once() -> None:
    assert cycles(system(a="b", b="c", c="a b", d="a")) == [["a", "b", "c"], ["b", "c"]]


def test_a_service_that_calls_itself_is_a_cycle() -> None:
    assert cycles(system(a="a")) == [["a"]]


def test_no_cycle_is_none() -> None:
    assert cycles(system(a="b c", b="c", c="")) == []


def test_a_tree_with_a_cycle_comes_to_an_end_and_says_so() -> None:
    shown = list(lines(system(top="a", a="b", b="a")))
    assert "│     └─ b" in shown[3]
    assert shown[4].endswith("a  (a cycle)")
    assert shown[-1] == "├─ cycle a → b → a"
