"""What `atoll events` prints of any event."""

import json

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from atoll.cli.events import _show


@pytest.mark.parametrize(
    ("payload", "shown"), [(b'{"a": 1}', {"a": 1}), (b"no json", "no json"), (b"[" * 9_999, "[" * 9_999)]
)
def test_an_event_of_anybody_is_a_line_of_json(
    payload: bytes, shown: object, capsys: pytest.CaptureFixture[str]
) -> None:
    _show(Msg(Client(), "evt.shop.order-placed", "", payload, {"ce-id": "1"}), as_json=True)
    assert json.loads(capsys.readouterr().out)["event"] == shown
