"""HTTP/1.1 as it is written, and as those write it who mean no good."""

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll import get, post
from tests.runtime.raw import Answer, Peer, request, served
from tests.waiting import eventually


class Note(msgspec.Struct):
    text: str


class Echo:
    def __init__(self) -> None:
        self.order: list[str] = []
        self.made = 0

    @post("/echo")
    async def echo(self, note: Note) -> str:
        self.order.append(note.text)
        return note.text

    @post("/later")
    async def later(self, note: Note) -> str:
        await asyncio.sleep(0.02)
        self.order.append(note.text)
        return note.text

    @get("/hello/{name}")
    async def hello(self, name: str) -> str:
        return f"hello {name}"

    @get("/large/{size}")
    async def large(self, size: int) -> str:
        self.made += 1
        return "x" * size


def note(text: str) -> dict[str, str]:
    return {"text": text}


def chunked(target: str, *pieces: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return f"POST {target} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n".encode() + body


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with served(Echo()) as service, await service.peer() as peer:
        for name in ("ada", "bob", "eve"):
            answer = await peer.ask("GET", f"/hello/{name}")
            assert answer.body == f'"hello {name}"'.encode()
            assert "connection" not in answer.headers
            assert answer.headers["date"].endswith("GMT")


async def test_a_chunked_body_is_put_together() -> None:
    async with served(Echo()) as service, await service.peer() as peer:
        await peer.send(chunked("/echo", b'{"te', b'xt":', b'"abc"}') + request("GET", "/hello/after"))
        assert (await peer.answer()).body == b'"abc"'
        assert (await peer.answer()).body == b'"hello after"'


async def test_pipelined_requests_are_answered_in_their_order_one_at_a_time() -> None:
    echo = Echo()
    async with served(echo) as service, await service.peer() as peer:
        await peer.send(
            request("POST", "/later", note("a"))
            + request("POST", "/echo", note("b"))
            + request("POST", "/later", note("c"))
            + request("POST", "/echo", {})
            + request("GET", "/nothing")
            + request("POST", "/echo", note("d"))
        )
        answers = [await peer.answer() for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 200, 200, 422, 404, 200]
    assert echo.order == ["a", "b", "c", "d"]


async def test_a_thousand_pipelined_requests_do_not_keep_others_waiting() -> None:
    async with served(Echo()) as service, await service.peer() as busy, await service.peer() as other:
        await busy.send(request("GET", "/nothing") * 500 + request("GET", "/hello/x") * 500)
        assert (await other.ask("GET", "/hello/other")).status == 200
        statuses = [(await busy.answer()).status for _ in range(1000)]
    assert statuses == [404] * 500 + [200] * 500


async def test_a_peer_that_does_not_read_its_answers_gets_no_more_of_them_made() -> None:
    echo = Echo()
    async with served(echo) as service, await service.peer() as peer:
        sending = asyncio.create_task(peer.send(request("GET", "/large/1000000") * 200))
        await eventually(lambda: echo.made > 0)
        made = -1
        while echo.made != made:  # until it stands still
            made = echo.made
            await asyncio.sleep(0.2)
        assert 0 < made < 100
        for _ in range(200):
            assert len((await peer.answer()).body) == 1_000_002
        await sending
    assert echo.made == 200


async def test_connection_close_is_honoured_and_said_back() -> None:
    async with served(Echo()) as service, await service.peer() as peer:
        answer = await peer.ask("GET", "/hello/a", connection="close")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await peer.closed()


async def test_http_1_0_closes_unless_asked_to_stay() -> None:
    async with served(Echo()) as service:
        async with await service.peer() as peer:
            await peer.send(b"GET /hello/old HTTP/1.0\r\n\r\n")
            assert (await peer.answer()).headers["connection"] == "close"
            assert await peer.closed()
        async with await service.peer() as peer:
            for _ in range(2):
                await peer.send(b"GET /hello/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert (await peer.answer()).headers["connection"] == "keep-alive"


async def test_expect_100_continue_is_answered_before_the_body_comes() -> None:
    async with served(Echo(), body_limit=1000) as service:
        async with await service.peer() as peer:
            head, _, body = request("POST", "/echo", note("a"), expect="100-continue").partition(b"\r\n\r\n")
            await peer.send(head + b"\r\n\r\n")
            assert (await peer.answer()).status == 100
            await peer.send(body)
            assert (await peer.answer()).body == b'"a"'
        async with await service.peer() as peer:
            await peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n")
            assert (await peer.answer()).status == 413


async def test_a_unix_socket_serves_too(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with served(Echo(), address=f"unix:{path}") as service:
        assert (await service.ask("GET", "/hello/unix")).body == b'"hello unix"'
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


async def test_too_large_a_body_is_413_also_without_a_length() -> None:
    async with served(Echo(), body_limit=1000) as service:
        fits = await service.ask("POST", "/echo", note("x" * 900))
        assert fits.status == 200
        known = await service.ask("POST", "/echo", note("x" * 2000))
        assert (known.status, known.json["type"]) == (413, "urn:atoll:problem:too-large")
        assert known.json["detail"] == "At most 1,000 bytes are accepted."
        async with await service.peer() as peer:
            await peer.send(chunked("/echo", b"x" * 600, b"x" * 600))
            answer = await peer.answer()
            assert (answer.status, answer.headers["connection"]) == (413, "close")
        async with await service.peer() as peer:  # endless and tiny pieces, of which the framing is the larger part
            endless = b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            await peer.send(endless + b"1;%b\r\nx\r\n" % (b"e" * 200) * 2000)
            assert (await peer.answer()).status == 413


async def test_a_client_that_sends_on_after_a_refusal_still_reads_it() -> None:
    async with served(Echo(), body_limit=1000) as service, await service.peer() as peer:
        await peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        for _ in range(50):
            await peer.send(b"x" * 100_000)
        assert (await peer.answer()).status == 413
        assert await peer.closed()


async def test_too_large_headers_are_431_however_they_arrive() -> None:
    line = b"x-a: " + b"a" * 1000 + b"\r\n"
    async with served(Echo()) as service:
        async with await service.peer() as peer:
            await peer.send(b"GET /hello/a HTTP/1.1\r\nhost: a\r\n" + line * 20 + b"\r\n")
            assert (await peer.answer()).status == 200
            await peer.send(b"GET /hello/a HTTP/1.1\r\nhost: a\r\n" + line * 40 + b"\r\n")
            answer = await peer.answer()
            assert (answer.status, answer.json["type"]) == (431, "urn:atoll:problem:headers-too-large")
        async with await service.peer() as peer:
            await peer.send(b"GET /hello/a HTTP/1.1\r\nhost: a\r\nx-endless: ")
            with contextlib.suppress(ConnectionError):
                for _ in range(200):
                    await peer.send(b"a" * 1000)
                    await asyncio.sleep(0)
            assert (await peer.answer()).status == 431


async def test_too_long_a_target_is_414() -> None:
    async with served(Echo()) as service:
        assert (await service.ask("GET", "/hello/" + "a" * 8000)).status == 200
        answer = await service.ask("GET", "/hello/" + "a" * 9000)
    assert (answer.status, answer.json["type"]) == (414, "urn:atoll:problem:target-too-long")


BAD = {
    "no host": b"GET /hello/a HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /hello/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two equal hosts": b"GET /hello/a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "both lengths": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # noqa: E501
    "both the other way": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",  # noqa: E501
    "two lengths": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "chunks by HTTP/1.0": b"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"GET /hello/a HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "bare line feeds": b"GET /hello/a HTTP/1.1\nHost: a\n\n",
    "a space before the colon": b"GET /hello/a HTTP/1.1\r\nHost : a\r\n\r\n",
    "a zero byte": b"GET /hello/a HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    "an unknown method": b"FETCH /hello/a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a negative length": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "HTTP/0.9": b"GET /hello/a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("what", BAD)
async def test_what_two_servers_could_read_differently_is_400_and_the_end(what: str) -> None:
    async with served(Echo()) as service, await service.peer() as peer:
        await peer.send(BAD[what])
        answer = await peer.answer()
        assert (answer.status, answer.json["type"]) == (400, "urn:atoll:problem:bad-request")
        assert answer.headers["connection"] == "close"
        assert await peer.closed()


async def test_a_bad_request_is_refused_after_the_good_ones_before_it_are_answered() -> None:
    async with served(Echo()) as service, await service.peer() as peer:
        await peer.send(request("POST", "/later", note("a")) + request("GET", "/hello/b") + BAD["two hosts"])
        assert [(await peer.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await peer.closed()


async def test_an_upgrade_is_not_taken_and_what_follows_it_is_not_read() -> None:
    async with served(Echo()) as service, await service.peer() as peer:
        await peer.send(request("GET", "/hello/a", connection="upgrade", upgrade="h2c") + request("GET", "/hello/b"))
        answer = await peer.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await peer.closed()


async def test_trailers_change_nothing() -> None:
    async with served(Echo()) as service, await service.peer() as peer:
        head = b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        await peer.send(head + b'c\r\n{"text":"a"}\r\n0\r\nHost: b\r\nContent-Type: text/plain\r\n\r\n')
        assert (await peer.answer()).status == 200


async def test_one_that_drips_its_request_is_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atoll.runtime.http.SLOWEST", 0.0)
    async with served(Echo()) as service, await service.peer() as peer:
        await peer.send(b"GET /hello/a HTTP/1.1\r\nhost:")
        answer = await peer.answer()
    assert (answer.status, answer.json["type"]) == (408, "urn:atoll:problem:request-timeout")


async def test_an_idle_connection_is_closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atoll.runtime.http.IDLE", 0.0)
    async with served(Echo()) as service, await service.peer() as peer:
        assert (await peer.ask("GET", "/hello/a")).status == 200
        assert await peer.closed()


MIXED = [
    request("GET", "/hello/ada"),
    request("POST", "/later", note("x" * 50)),
    chunked("/echo", b'{"text"', b':"chunks"}'),
    request("GET", "/nothing"),
    request("POST", "/echo", b"not json"),
    request("POST", "/echo", note("last"), connection="close"),
]


async def _answers(address: str, pieces: list[bytes]) -> list[tuple[int, bytes]]:
    async with await Peer.connect(address) as peer:
        for piece in pieces:
            peer.writer.write(piece)
            await asyncio.sleep(0)
        answers: list[Answer] = [await peer.answer() for _ in MIXED]
        assert await peer.closed()
    for answer in answers:
        if answer.headers["content-type"] == "application/problem+json":
            answer.body = str(answer.json["type"]).encode()
    return [(answer.status, answer.body) for answer in answers]


@given(cuts=st.lists(st.integers(0, sum(map(len, MIXED))), max_size=12))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_a_request_is_cut_into_pieces_the_answers_are_the_same(cuts: list[int]) -> None:
    data = b"".join(MIXED)
    ends = sorted({*cuts, len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    async def both() -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
        async with served(Echo()) as service:
            return await _answers(service.address, [data]), await _answers(service.address, pieces)

    whole, cut = uvloop.run(both())
    assert whole == cut
    assert [status for status, _ in whole] == [200, 200, 200, 404, 400, 200]
