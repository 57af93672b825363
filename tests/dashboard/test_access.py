"""Who may see pages, and who may have them do something."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from atoll.dashboard.access import LARGEST_FORM, Access, form_of
from tests.dashboard.asking import client

TOKEN = "s3cret-token"


def gate(token: str = "") -> TestClient:
    async def show(request: Request) -> Response:
        return PlainTextResponse(str(request.scope["session_word"]))

    async def act(request: Request) -> Response:
        return PlainTextResponse((await form_of(request)).get("what", ""))

    inner = Starlette(routes=[Route("/", show), Route("/act", act, methods=["POST"])])
    return TestClient(Access(inner, token), base_url="http://127.0.0.1:8090", follow_redirects=False)


def test_a_form_of_our_own_page_is_taken() -> None:
    asked = gate()
    word = asked.get("/").text
    answer = asked.post("/act", data={"word": word, "what": "restart"}, headers={"origin": "http://127.0.0.1:8090"})
    assert (answer.status_code, answer.text) == (200, "restart")


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"word": "0" * 64}, {}),
        ({"word": "right"}, {"origin": "https://evil.example"}),
        ({"word": "right"}, {"origin": "null"}),
        ({"word": "right"}, {"origin": "http://127.0.0.1:9999"}),
        ({"word": "right"}, {"sec-fetch-site": "cross-site"}),
        ({"word": "right"}, {"sec-fetch-site": "same-site"}),
    ],
)
def test_a_form_of_anybody_else_is_refused(fields: dict[str, str], headers: dict[str, str]) -> None:
    asked = gate()
    word = asked.get("/").text
    fields = {name: word if value == "right" else value for name, value in fields.items()}
    assert asked.post("/act", data=fields, headers=headers).status_code == 403


def test_the_word_of_one_session_is_nothing_in_another() -> None:
    one, other = gate(), gate()
    stolen = one.get("/").text
    other.get("/")
    assert other.post("/act", data={"word": stolen}).status_code == 403


def test_a_huge_form_is_refused() -> None:
    asked = gate()
    asked.get("/")
    assert asked.post("/act", data={"what": "x" * (LARGEST_FORM + 1)}).status_code == 413


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "10.0.0.1:8090", ""])
def test_a_name_that_a_stranger_points_at_this_machine_is_refused(host: str) -> None:
    assert gate().get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8090", "localhost:8090", "LOCALHOST", "[::1]:1234"])
def test_loopback_by_any_of_its_names_is_answered(host: str) -> None:
    assert gate().get("/", headers={"host": host}).status_code == 200


def test_without_the_token_nothing_is_told() -> None:
    asked = gate(TOKEN)
    assert asked.get("/").status_code == 401
    assert asked.get("/?token=wrong").status_code == 401
    assert asked.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert asked.get("/", headers={"cookie": "atoll-token="}).status_code == 401
    assert asked.post(f"/act?token={TOKEN}", data={"what": "x"}).status_code == 401


def test_the_token_is_taken_out_of_the_address_and_kept() -> None:
    asked = gate(TOKEN)
    answer = asked.get(f"/?token={TOKEN}&window=5+min")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?window=5+min")
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    assert asked.get("/").status_code == 200
    assert gate(TOKEN).get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_every_answer_forbids_what_a_page_does_not_need(tmp_path: Path) -> None:
    for path in ("/", "/nothing", "/static/style.css", "/traces"):
        answer = client(tmp_path).get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_are_behind_the_gate(tmp_path: Path) -> None:
    asked = client(tmp_path, TOKEN)
    for path in ("/", "/traces", "/logs", "/events", "/alerts", "/apis", "/limits", "/live/map", "/static/live.js"):
        assert asked.get(path).status_code == 401, path
