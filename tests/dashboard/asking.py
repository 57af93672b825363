"""The dashboard over a real store, asked as a browser would."""

import re
from pathlib import Path

import msgspec
from starlette.testclient import TestClient

from atoll.collector.query import Query
from atoll.dashboard.app import application
from atoll.dashboard.live import Live
from atoll.dashboard.sources import Sources
from atoll.model.launch import Dashboard
from atoll.wire.description import Description


def client(folder: Path, token: str = "", description: Description | None = None) -> TestClient:
    """Of a system that runs elsewhere, as in a cluster: nobody tells of processes."""
    document = Dashboard(listen="127.0.0.1:0", description=msgspec.Raw(msgspec.json.encode(description)))
    sources = Sources("shop", Query(folder), document)
    asked = TestClient(application(sources, Live(), token), base_url="http://127.0.0.1:8090", follow_redirects=False)
    asked.headers["host"] = "127.0.0.1:8090"
    return asked


def word(page: str) -> str:
    """What the forms of a page carry."""
    found = re.search(r'name="word" value="([0-9a-f]{64})"', page)
    assert found, "the page has no form"
    return found[1]
