"""What `atoll traces` lists."""

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from atoll.cli.traces import NAME, listing, tree
from atoll.collector.trees import trees
from atoll.collector.values import Span, Trace
from atoll.supervisor.home import Home
from tests.cli.commands import atoll
from tests.collector.sending import arrival, span, stored


def trace(number: int, name: str = "GET /", service: str = "web", error: str = "") -> Trace:
    span = Span(f"{number:032x}"[::-1], "cd" * 8, "", name, "server", 0, 1_000_000, error, service, f"{service}-1")
    return Trace(span.trace, trees([span]))


def printed(traces: list[Trace], width: int = 80) -> list[str]:
    out = StringIO()
    Console(file=out, width=width).print(listing(traces))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100])
def test_a_long_name_takes_no_room_from_times_and_ids(width: int) -> None:
    traces = [trace(1), trace(2, "GET /" + "n" * 5_000), trace(3, service="s" * 5_000)]
    head, *rows = printed(traces, width)
    assert len(rows) == len(traces)
    for row, each in zip(rows, traces, strict=True):
        assert row[:12].count(":") == 2
        assert row[14:26] == each.id[:12]
        assert len(row) <= width
        assert "1.0" in row
    assert head.split() == ["time", "trace", "asked", "for", "ms", "spans", "services", "errors"]


def test_what_there_is_room_for_is_whole() -> None:
    (_, row) = printed([trace(1, "POST /checkout", "frontend")], 100)
    assert "frontend POST /checkout" in row


def test_a_tree_shows_so_much_of_a_name_as_can_be_read() -> None:
    out = StringIO()
    Console(file=out, width=200).print(tree(trace(1, "n " * 50_000, error="e " * 50_000)))
    assert out.getvalue().count("n") < NAME + 100
    assert len(out.getvalue()) < 20_000


@pytest.fixture
def after_a_run(tmp_path: Path) -> Path:
    """A folder in which a system ran: payment failed once, and was slow once, which began before the others."""
    home = Home(tmp_path / ".atoll" / "small")
    sent = {
        "ok": {"payment": [span("charge", trace=b"a" * 16)]},
        "failed": {"payment": [span("charge", trace=b"b" * 16, error="declined")], "web": [span(trace=b"b" * 16)]},
        "slow": {"payment": [span("charge", trace=b"c" * 16, milliseconds=900)]},
        "elsewhere": {"web": [span(trace=b"d" * 16, error="no page")]},
    }
    stored(home.telemetry, *(arrival(each) for each in sent.values()))
    (home.state / "ports.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), "dbac"),
        (("--limit", "1"), "d"),
        (("--failed",), "db"),
        (("--failed", "--service", "payment"), "b"),
        (("--service", "web"), "db"),
        (("--least", "500"), "c"),
    ],
)
def test_traces_are_listed_by_what_happened_in_them(after_a_run: Path, options: Sequence[str], found: str) -> None:
    said = json.loads(atoll(after_a_run, "traces", "--json", *options).stdout)
    assert "".join(bytes.fromhex(each["trace"])[:1].decode() for each in said) == found


def test_that_nothing_is_like_it_is_said(after_a_run: Path) -> None:
    assert atoll(after_a_run, "traces", "--service", "mail").stdout == "no trace is like this\n"
    assert json.loads(atoll(after_a_run, "traces", "--service", "mail", "--json").stdout) == []
