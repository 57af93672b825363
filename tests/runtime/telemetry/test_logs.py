"""Lines that the runtime writes, for whatever splits them."""

import json
import logging

import pytest

from atoll.runtime.telemetry.logs import JsonLines


@pytest.mark.parametrize("extra", [{"id": "a\u2028b"}, {"id": "a\u2028b", "no json": {1: object(), (): ()}}])
def test_a_json_line_is_one_line_however_it_is_split(extra: dict[str, object]) -> None:
    said = "no product ä\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r\n9999-12-31T23:59:59Z x"
    record = logging.makeLogRecord(
        {"msg": "%s", "args": (said,), "levelno": logging.INFO, "levelname": "INFO", **extra}
    )
    line = JsonLines("web", "web-1").format(record)
    assert line.splitlines() == [line]
    found = json.loads(line)
    assert (found["message"], found["id"]) == (said, "a\u2028b")
    assert "ä" in line


def test_a_json_line_with_half_a_character_is_written_all_the_same() -> None:
    try:
        raise ValueError("\ud83d")
    except ValueError as error:
        raised = (type(error), error, error.__traceback__)
    record = logging.makeLogRecord({"msg": "failed: %s", "args": ("\ud83d ä",), "exc_info": raised, "id": 7})
    found = json.loads(JsonLines("web", "web-1").format(record))
    assert found["message"] == "failed: ? ä"
    assert found["error"].endswith("ValueError: ?")
