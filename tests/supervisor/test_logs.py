"""Lines of processes."""

import asyncio
import json

import pytest

from atoll.supervisor.logs import MOST_WAITING, Line, LogHub, last_words


async def test_a_listener_gets_every_line_from_when_it_began_to_listen() -> None:
    hub = LogHub()
    hub.write("users-1", "before")
    lines = hub.follow()
    first = asyncio.ensure_future(anext(lines))
    await asyncio.sleep(0)
    hub.write("users-1", "one")
    hub.write("cart-1", "two")
    assert await first == Line("users-1", "one")
    assert await anext(lines) == Line("cart-1", "two")
    await lines.aclose()  # type: ignore[attr-defined]


async def test_a_listener_that_is_too_slow_loses_the_oldest_lines() -> None:
    hub = LogHub()
    lines = hub.follow()
    first = asyncio.ensure_future(anext(lines))
    await asyncio.sleep(0)
    for number in range(MOST_WAITING + 5):
        hub.write("users-1", str(number))
    assert (await first).text == "5"
    await lines.aclose()  # type: ignore[attr-defined]


def test_the_lines_of_a_process_that_ended_are_not_those_of_the_next() -> None:
    hub = LogHub()
    hub.writer("users-1")("it broke")
    hub.writer("users-1")
    assert hub.last("users-1") == ()


def test_the_end_of_a_traceback_says_why_a_process_ended() -> None:
    lines = ["Traceback (most recent call last):", '  File "x.py", line 1', "    1 / 0", "ZeroDivisionError: by zero"]
    assert last_words(lines) == "ZeroDivisionError: by zero"


def test_a_numbered_problem_says_it_with_its_sentence_and_not_with_its_remedy() -> None:
    assert last_words(["ATL3002  Port 80 is taken.", "         do   end the process"]) == "ATL3002  Port 80 is taken."


def test_an_error_in_a_json_line_says_it() -> None:
    line = json.dumps({"level": "error", "message": "no", "error": "Traceback\n  x\nValueError: 7"})
    assert last_words([line, json.dumps({"level": "info", "message": "stopped"})]) == "ValueError: 7"


@pytest.mark.parametrize("error", [" ", "\n"])
def test_an_error_without_words_is_no_reason(error: str) -> None:
    assert last_words(["ValueError: 7", json.dumps({"error": error})]) == "ValueError: 7"


def test_what_is_nested_deeper_than_can_be_read_says_it_as_it_is() -> None:
    line = '{"a":' + "[" * 5_000 + "]" * 5_000 + "}"
    assert last_words([line]) == line


def test_nothing_said_is_no_reason() -> None:
    assert last_words(["", json.dumps({"level": "info", "message": "started"})]) == ""
