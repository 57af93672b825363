"""Log files of processes that know nothing of a collector."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from atoll.collector.database import FILE, reading
from atoll.collector.lines import parsed
from tests.collector.running import Collecting, collecting
from tests.collector.sending import request, span
from tests.waiting import until

NOW = 1_790_000_000_000_000_000


@pytest.mark.parametrize(
    ("line", "severity", "body"),
    [
        ("plain", 9, "plain"),
        ("2026-11-26 12:00:00.000 UTC [71] shop@shop ERROR:  no such table", 17, None),
        ("2026-11-26 12:00:00.000 UTC [71] LOG:  ready", 9, None),
        ("[71] 2026/11/26 12:00:00.000000 [WRN] slow", 13, None),
        ('{"level":"warning","message":"slow","time":"2026-09-21T13:46:40Z"}', 13, "slow"),
        ('{"level":50,"msg":"pino","time":1790000000000}', 17, "pino"),
        ('{"severity":"INFO","message":{"a":1}}', 9, '{"a":1}'),
        ('{"neither":1}', 9, '{"neither":1}'),
        ('{"message": broken', 9, '{"message": broken'),
        ("[" * 10_000, 9, None),
        ('{"message":' + "[" * 50_000, 9, None),
        ('{"level":"error","message":' + "[" * 500 + "]" * 500 + "}", 17, "[" * 16 + '"…"' + "]" * 16),
    ],
)
def test_a_line_is_read_as_its_program_meant_it(line: str, severity: int, body: str | None) -> None:
    found = parsed(line, "a", "a-1", NOW)
    assert (found.severity, found.body) == (severity, line if body is None else body)


def test_what_is_nested_deep_in_a_line_is_cut() -> None:
    found = parsed('{"message":"deep","a":' + '{"b":[' * 200 + "]}" * 200 + ',"c":{"d":[1]}}', "a", "a-1", NOW)
    assert (found.attributes or "").count("[") < 20
    assert '"c":{"d":[1]}' in (found.attributes or "")


def test_postgresql_tells_its_time_in_front() -> None:
    assert parsed("2026-09-21 13:46:40.125 UTC [71] LOG:  ready", "a", "a-1", NOW).time == 1_789_998_400_125_000_000


def test_a_line_of_ours_keeps_its_time_trace_and_extras() -> None:
    line = (
        '{"time":"2026-09-21T13:46:40.125+00:00","level":"info","logger":"shop","message":"paid","service":"a",'
        '"replica":"a-1","trace":"0af7651916cd43dd8448eb211c80319c","span":"b7ad6b7169203331","order":7}'
    )
    found = parsed(line, "a", "a-1", NOW)
    assert found.time == 1_789_998_400_125_000_000
    assert (found.trace or b"").hex() == "0af7651916cd43dd8448eb211c80319c"
    assert (found.span or b"").hex() == "b7ad6b7169203331"
    assert found.attributes == '{"logger":"shop","order":7}'


@contextmanager
def followed(folder: Path, text: str) -> Iterator[tuple[Path, Collecting]]:
    """The log file of users-2, with this in it at first, and who follows it."""
    file = folder / "logs" / "users-2.log"
    file.parent.mkdir()
    file.write_text(text)
    with collecting(folder, logs=str(file.parent)) as collector:
        yield file, collector


def test_each_line_is_stored_once_whatever_is_killed_or_renamed(tmp_path: Path) -> None:
    with followed(tmp_path, "one\ntwo\nhalf a li") as (file, collector):
        # Given what was written before, up to the last whole line
        until(lambda: len(collector.query.logs()) == 2)
        # When the collector is killed, more is written, and the file reaches its limit
        collector.kill()
        with file.open("a") as opened:
            opened.write("ne\n")
        file.replace(f"{file}.1")
        file.write_text("after\n")
        collector.restart()
        # Then nothing is missing, and nothing is there twice
        until(lambda: len(collector.query.logs()) == 4)
        with file.open("a") as opened:
            opened.write("last\n")
        until(lambda: collector.query.logs()[-1].body == "last")
        found = collector.query.logs()
        assert [each.body for each in found] == ["one", "two", "half a line", "after", "last"]
        assert {(each.service, each.replica) for each in found} == {("users", "users-2")}


def test_each_line_stays_whole_of_a_file_that_was_renamed_while_much_of_it_waited(tmp_path: Path) -> None:
    with followed(tmp_path, "first\n") as (file, collector):
        until(lambda: len(collector.query.logs()) == 1)
        # Given more than is read at a time, and the file at its limit, while the collector is away
        collector.kill()
        said = [f"line {number:05} {'x' * 200}" for number in range(7_000)]
        with file.open("a") as opened:
            opened.write("".join(f"{each}\n" for each in said) + "and the last, without an end")
        file.replace(f"{file}.1")
        file.write_text("after\n")
        collector.restart()
        # Then each line is there once, and none is two
        until(lambda: _stored(collector)[-1:] == ["after"])
        assert _stored(collector) == ["first", *said, "and the last, without an end", "after"]


def test_of_a_file_that_somebody_cuts_each_line_is_stored_once(tmp_path: Path) -> None:
    with followed(tmp_path, "before\n" * 10) as (file, collector):
        until(lambda: len(collector.query.logs()) == 10)
        # When it begins anew at its beginning, as `> users-2.log` makes it
        with file.open("r+") as opened:
            opened.truncate(0)
            opened.write("after\n")
        until(lambda: "after" in _stored(collector))
        with file.open("a") as opened:
            opened.write("last\n")
        # Then what is written from then on is stored, and nothing again and again
        until(lambda: "last" in _stored(collector))
        assert _stored(collector) == [*["before"] * 10, "after", "last"]


def _stored(collector: Collecting) -> list[str]:
    """Every line, in the order in which they came."""
    with reading(Path(collector.document.folder) / FILE) as database:
        return [row[0] for row in database.execute("SELECT body FROM logs ORDER BY id")]


def test_a_newline_alone_ends_a_line(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    said = ["a\u2028b", "a\x85b\x0bc\x0cd\x1ce", "windows", "bar 1%\rbar 2%"]
    written = ['{"level":"error","message":"a\u2028b"}', said[1], "windows\r", said[3]]
    (logs / "users-1.log").write_text("".join(f"{each}\n" for each in written), newline="")
    with collecting(tmp_path, logs=str(logs)) as collector:
        until(lambda: len(collector.query.logs()) >= 4)
        found = collector.query.logs()
    assert [each.body for each in found] == said
    assert found[0].severity == "error"


def test_the_access_log_is_left_to_the_spans_of_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("{}\n")
    (tmp_path / "collector.log").write_text("of its own\n")
    (tmp_path / "envoy.log").write_text("started\n")
    with collecting(tmp_path, logs=str(tmp_path)) as collector:
        until(collector.query.logs)
        assert [(each.service, each.body) for each in collector.query.logs()] == [("envoy", "started")]


def test_a_time_that_nothing_can_have_does_not_end_the_collector(tmp_path: Path) -> None:
    early = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    # Given lines of Go's zero time, which loggers write for none, and of a year that a store has no number for
    logs = tmp_path / "logs"
    logs.mkdir()
    times = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", early.isoformat())
    (logs / "users-1.log").write_text("".join(f'{{"time":"{each}","msg":"{each}"}}\n' for each in times))
    before = time.time_ns()
    with collecting(tmp_path, logs=str(logs)) as collector:
        until(lambda: len(collector.query.logs()) == len(times))
        found = {each.body: each.time for each in collector.query.logs()}
        # Then those are of when they came; a line that is late keeps its time
        assert all(before <= found[each] <= time.time_ns() for each in times[:3])
        assert found[times[3]] == int(early.timestamp()) * 10**9
        # And more are taken
        assert collector.send(request({"a": [span()]})) == 200
