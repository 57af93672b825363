import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop.browser import Answer, Browser
from shop.customers import Confirmed, Diary, percentile, told
from shop.money import Money

TIMES = st.lists(st.floats(0, 10), min_size=1).map(sorted)


@given(TIMES, st.floats(0.01, 1))
def test_a_percentile_is_not_exceeded_by_its_share_of_the_values(times: list[float], share: float) -> None:
    value = percentile(times, share)
    assert value in times
    assert sum(each <= value for each in times) >= share * len(times) - 1e-9
    assert sum(each < value for each in times) < share * len(times) + 1e-9


def test_the_percentile_of_nothing_is_zero() -> None:
    assert percentile([], 0.5) == 0.0


def test_the_summary_adds_up_what_was_noted() -> None:
    # Given four requests, one without an answer and one that failed, and three orders
    answers = [
        Answer("GET", "/", status, seconds) for status, seconds in [(200, 0.1), (0, 0.4), (503, 0.2), (402, 0.3)]
    ]
    orders = [("a", Money("EUR", 1850)), ("b", Money("JPY", 900)), ("c", Money("EUR", 150))]
    diary = Diary(answers, [Confirmed(*order) for order in orders], declined=1)
    # When the diary is closed
    summary = diary.summary(customers=2, seconds=4.0)
    # Then a declined card is no error, and the orders make the revenue of each currency
    assert (summary.requests, summary.errors, summary.declined) == (4, 2, 1)
    assert (summary.p50, summary.p99) == (0.2, 0.4)
    assert summary.revenue == [Money("EUR", 2000), Money("JPY", 900)]
    assert "3 confirmed" in told(summary)
    assert "€ 20.00, ¥ 900" in told(summary)
    assert "4 (1/s), 2 errors" in told(summary)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(handler)` is the URL of a server that answers each connection with the handler."""
    servers: list[asyncio.Server] = []

    async def start(handler: Handler) -> str:
        servers.append(await asyncio.start_server(handler, "127.0.0.1", 0))
        return f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_the_browser_keeps_cookies_and_goes_where_it_is_sent(serve: Serve) -> None:
    asked: list[bytes] = []

    async def boutique(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(3)
        writer.write(
            b"HTTP/1.1 303 See Other\r\nlocation: /basket\r\nset-cookie: basket=b1; Path=/\r\ncontent-length: 0\r\n\r\n"
        )
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nset-cookie: basket=; Max-Age=0\r\n"
            b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    noted: list[Answer] = []
    async with Browser(await serve(boutique), 2.0, noted.append) as browser:
        page = await browser.post("/basket", {"a": "b"})
        await browser.get("/")
    assert (page.status, page.path, page.text) == (200, "/basket", "hello")
    assert b"cookie: basket=b1" in asked[1]
    assert b"cookie" not in asked[2]
    assert [(answer.method, answer.status) for answer in noted] == [("POST", 303), ("GET", 200), ("GET", 204)]


async def test_an_answer_that_never_comes_is_noted_and_raised(serve: Serve) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    noted: list[Answer] = []
    async with Browser(await serve(silent), 0.1, noted.append) as browser:
        with pytest.raises(TimeoutError):
            await browser.get("/")
    assert [(answer.status, answer.reason) for answer in noted] == [(0, "TimeoutError")]


async def test_a_page_that_is_a_failure_is_noted_with_its_words(serve: Serve) -> None:
    async def failing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = b"<html><style>p {}</style><main class=a><h1>Bear with us</h1>\n<p>In a moment.</p></main>"
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: %d\r\n\r\n%s" % (len(page), page))
        writer.close()

    noted: list[Answer] = []
    async with Browser(await serve(failing), 2.0, noted.append) as browser:
        await browser.get("/")
    assert [(answer.status, answer.reason) for answer in noted] == [(503, "Bear with us In a moment.")]


async def test_redirects_without_an_end_are_given_up(serve: Serve) -> None:
    async def circle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            writer.write(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with Browser(await serve(circle), 2.0, lambda _: None) as browser:
        with pytest.raises(OSError, match="without an end"):
            await browser.get("/")
