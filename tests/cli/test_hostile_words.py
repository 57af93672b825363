"""What others said is printed as text: it is no markup, and moves no terminal."""

import dataclasses

import pytest

from atoll.cli.console import console
from atoll.cli.printer import Printer
from atoll.cli.problems import styled
from atoll.cli.table import plain_row, status_table
from atoll.cli.traces import listing, tree
from atoll.collector.trees import trees
from atoll.collector.values import Span, Trace
from atoll.errors import NO_SUCH_TRACE
from atoll.supervisor.logs import Line
from atoll.supervisor.status import ProcessStatus, Status

EVIL = "[/bold] :boom: \x1b]0;owned\x07\x1b[31m\x9b2J"
SEEN = "[/bold] :boom: ␛]0;owned\\x07␛[31m\\x9b2J"


def test_in_traces(capsys: pytest.CaptureFixture[str]) -> None:
    span = Span("ab" * 16, "cd" * 8, "", EVIL, "server", 0, 1_000_000, EVIL, EVIL, EVIL)
    trace = Trace(span.trace, trees([span]))
    for table, times in ((listing([trace]), 3), (tree(trace), 3)):
        console().print(table)
        printed = capsys.readouterr().out
        assert printed.count(SEEN) == times
        assert "\x1b" not in printed


def test_in_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(console(), as_json=False).show(Line("web-1", EVIL))
    assert capsys.readouterr().out == f"web-1            {SEEN}\n"


def test_in_the_reasons_of_processes(capsys: pytest.CaptureFixture[str]) -> None:
    process = ProcessStatus("web-1", "web", "process", "backing off", reason=EVIL)
    console().print(
        status_table(
            Status("s", 1, "", "", "", "", ready=False, seconds_to_ready=None, addresses={}, processes=(process,))
        )
    )
    assert SEEN in capsys.readouterr().out
    assert plain_row(process).endswith(SEEN)


def test_in_problems() -> None:
    (problem,) = NO_SUCH_TRACE.error(trace="ab").problems
    assert SEEN in styled(dataclasses.replace(problem, detail=EVIL))
