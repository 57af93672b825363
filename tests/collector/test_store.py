"""What the store lets go, what it puts aside, and what it does when the disk is full."""

import math
import os
import sqlite3
import time
from pathlib import Path

import pytest

from atoll.collector.arrivals import Arrival, PointIn, Position
from atoll.collector.database import FILE
from atoll.collector.limits import Limits
from atoll.collector.query import LogFilter, Query, Window
from atoll.collector.store import Store
from tests.collector.sending import arrival, line, span, stored


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    # Given spans, a line and figures of yesterday, and others of now
    limits, now = Limits(kept_seconds=3600), time.time()
    old, new = arrival({"a": [span("old")]}), arrival({"a": [span("new")]})
    old_line = line("old")._replace(time=int((now - 86_400) * 1e9))
    store = Store(tmp_path, limits)
    store.write([old, Arrival(logs=[old_line])], now - 86_400)
    store.write([new, Arrival(logs=[line("new")])], now)
    # When time has come
    while store.expire(now):
        pass
    store.close()
    # Then only what is of now is left
    query = Query(tmp_path)
    assert [each.name for each in query.traces()] == ["new"]
    assert [each.body for each in query.logs()] == ["new"]
    assert query.limits() == []
    assert query.services(Window(now - 90_000, now - 80_000)) == []
    assert [(each.service, each.figures.calls) for each in query.services(Window(now - 90_000, now + 1))] == [("a", 1)]


def test_what_is_too_much_goes_the_oldest_first_and_that_is_told(tmp_path: Path) -> None:
    # Given a store that may keep one MiB, and three times as much
    limits, now = Limits(kept_bytes=2**20), time.time()
    store = Store(tmp_path, limits)
    for number in range(60):
        many = [span(f"GET /{number}", trace=os.urandom(16), text="x" * 500) for _ in range(100)]
        store.write([arrival({"a": many})], now)
        while store.expire(now):
            pass
    store.write([], now)
    store.close()
    # Then the newest are there, the file has not grown for ever, and the page says so
    query = Query(tmp_path)
    names = [each.name for each in query.traces()]
    assert names[0] == "GET /59"
    assert 500 < query.stored().spans < 3_000
    assert query.stored().bytes < 3 * 2**20
    assert [hit.name for hit in query.limits()] == ["kept bytes"]


def test_a_full_disk_refuses_what_comes_and_keeps_what_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path, Limits())
    store.write([arrival({"a": [span("kept")]})], time.time())
    # SQLite's own limit fails as the device does: "database or disk is full".
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.Error, match="full"):
        store.write([arrival({"b": [span("x" * 400, text="y" * 9_000) for _ in range(200)]})], time.time())
    # When there is room again
    store._database.execute("PRAGMA max_page_count = 1000000")
    store.write([arrival({"b": [span("later", trace=b"l" * 16)]})], time.time())
    store.close()
    query = Query(tmp_path)
    assert [each.name for each in query.traces()] == ["later", "kept"]
    assert query.stored().spans == 2
    assert [(each.service, each.figures.calls) for each in query.services(Window.last(60))] == [("a", 1), ("b", 1)]


def test_more_names_than_are_told_apart_are_others(tmp_path: Path) -> None:
    limits = Limits(names=3)
    spans = [span(f"GET /{number}", trace=bytes([number + 1] * 16)) for number in range(6)]
    query = Query(stored(tmp_path, arrival({"a": spans}), limits=limits))
    assert {each.name for each in query.traces()} == {"GET /0", "GET /1", "GET /2", "(others)"}
    assert {each.name: each.count for each in query.limits()} == {"names": 3}


def test_more_processes_than_are_told_apart_are_others(tmp_path: Path) -> None:
    query = Query(stored(tmp_path, Arrival(logs=[line("x", service=name) for name in "abc"]), limits=Limits(sources=2)))
    assert [each.service for each in query.logs()] == ["a", "b", "(others)"]


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    query = Query(stored(tmp_path, Arrival(logs=[line("x" * 200)]), limits=Limits(text=100)))
    assert [len(each.body) for each in query.logs()] == [101]
    assert [each.name for each in query.limits()] == ["text"]


def test_a_file_that_is_no_store_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 1000)
    query = Query(stored(tmp_path, Arrival(logs=[line("x")])))
    assert len(query.logs(LogFilter())) == 1
    assert (tmp_path / f"{FILE}.unreadable").exists()


def test_a_position_is_stored_with_its_lines(tmp_path: Path) -> None:
    stored(tmp_path, Arrival(logs=[line("x")], positions=[Position("file:a", "1:2", "17")]))
    store = Store(tmp_path, Limits())
    assert store.positions() == {"file:a": Position("file:a", "1:2", "17")}
    store.close()


def test_points_of_metrics_go_after_an_hour(tmp_path: Path) -> None:
    now = time.time()
    points = [PointIn("a", "a-1", "lag", "gauge", "", "{}", int(now) - age, 1.0) for age in (3_000, 10)]
    store = Store(tmp_path, Limits())
    store.write([Arrival(points=points)], now)
    store.expire(now + 1_000)
    store.close()
    (found,) = Query(tmp_path).metrics(Window.last(86_400), "lag")
    assert [at for at, _ in found.points] == [int(now) - 10]


def test_a_point_that_is_no_number_or_of_another_time_is_dropped_and_counted(tmp_path: Path) -> None:
    now = int(time.time())
    said = [(now, math.nan), (now, math.inf), (now + 7_200, 1.0), (now - 7_200, 1.0), (now, 2.0)]
    stored(tmp_path, Arrival(points=[PointIn("a", "a-1", "lag", "gauge", "", "{}", *each) for each in said]))
    (found,) = Query(tmp_path).metrics(Window.last(60), "lag")
    assert [value for _, value in found.points] == [2.0]
    assert [(hit.name, hit.count) for hit in Query(tmp_path).limits()] == [("points", 4)]


def test_processes_that_come_and_go_as_pods_do_use_nothing_up(tmp_path: Path) -> None:
    # Given a store that tells three processes and three metrics apart, and ten pods, one every two hours
    store = Store(tmp_path, Limits(series=3, sources=3, kept_seconds=3_600))
    now = time.time()
    for pod in (f"a-{number}" for number in range(10)):
        now += 7_200
        said = line(f"from {pod}")._replace(service="a", replica=pod, time=int(now * 1e9))
        lag = PointIn("a", pod, "lag", "gauge", "", "{}", int(now), 1.0)
        store.write([arrival({"a": [span(pod)]}), Arrival(logs=[said], points=[lag])], now)
        while store.expire(now):
            pass
    store.close()
    # Then the last is known by its name, and no limit was reached
    query = Query(tmp_path)
    assert [each.replica for each in query.logs()] == ["a-9"]
    assert [each.replica for each in query.metrics(Window(now - 60, now + 60), "lag")] == ["a-9"]
    assert query.limits() == []
