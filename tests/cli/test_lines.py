"""Log lines as people read them."""

import json
from pathlib import Path

import pytest

from atoll.cli.console import console
from atoll.cli.lines import shown, time_of
from atoll.cli.logs import _tail, merged
from atoll.cli.printer import Printer
from atoll.supervisor.logs import Line

TIME = "2026-11-23T21:00:00.123+00:00"


def test_a_json_line_becomes_time_level_message_and_what_else_it_says() -> None:
    line = json.dumps({"time": TIME, "level": "warning", "message": "slow", "took": 3, "trace": "ab" * 16})
    found = shown(line)
    assert found.text.endswith(".123 warning slow took=3 trace=abababab")
    assert found.style == "yellow"


def test_a_traceback_is_shown_below_its_message() -> None:
    found = shown(json.dumps({"message": "failed", "level": "error", "error": "Traceback\n  ValueError"}))
    assert found.text.splitlines()[1:] == ["Traceback", "  ValueError"]


def test_every_other_line_stays_as_it_is() -> None:
    for line in ("listening on 80", '{"no": "message"}', "{broken", ""):
        assert shown(line).text == line


def test_a_line_that_is_nested_deeper_than_can_be_read_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = '{"message":"x","a":' + "[" * 5_000 + "]" * 5_000 + "}"
    assert shown(line).text == line
    assert time_of(line) == ""
    Printer(console(), as_json=True).show(Line("users-1", line))
    assert json.loads(capsys.readouterr().out) == {"process": "users-1", "line": line}


def test_a_time_that_is_in_no_year_here_stays_as_it_is() -> None:
    for time in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert shown(json.dumps({"time": time, "message": "x"})).text == f"{time}         x"


def test_a_newline_alone_ends_a_line(tmp_path: Path) -> None:
    (tmp_path / "web-1.log").write_text("bar 1%\rbar 2%\na\u2028b\x85c\r\n", newline="")
    assert _tail(tmp_path / "web-1.log", "web-1", 5) == [
        Line("web-1", "bar 1%\rbar 2%"),
        Line("web-1", "a\u2028b\x85c"),
    ]


def test_lines_of_several_processes_are_merged_by_time_and_tracebacks_stay_together() -> None:
    def at(second: int) -> str:
        return json.dumps({"time": f"2026-11-23T21:00:0{second}", "message": str(second)})

    users = [Line("users-1", at(1)), Line("users-1", "Traceback"), Line("users-1", "  frame"), Line("users-1", at(4))]
    cart = [Line("cart-1", at(2)), Line("cart-1", at(3))]
    assert [line.text for line in merged([users, cart])] == [at(1), "Traceback", "  frame", at(2), at(3), at(4)]
    assert time_of("Traceback") == ""
