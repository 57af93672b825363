"""The flagship example, from the gateway to the mail, on real engines."""

import asyncio
import json
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import pytest_asyncio
from shop.browser import Browser
from shop.customers import Confirmed, shop_for
from shop.demo import settle
from shop.money import Money
from shop.payment.contract import DECLINED_CARD, GOOD_CARD

from atoll.collector.values import Span, Trace
from atoll.testing import Running, running
from tests.standing_still import standing_still
from tests.waiting import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"
ADDRESS = {
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "street": "Kade 7",
    "city": "Hoorn",
    "country": "Holland",
}

AD, PARCEL = 'aria-label="Advertisement"', "<dt>Parcel</dt><dd>¥"
"""What a page shows if the service behind it answers; the price of the parcel in yen."""

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, so that its state is this run's alone."""
    folder = tmp_path_factory.mktemp("shop") / "shop"
    return Path(shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".atoll", "__pycache__")))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(project: Path) -> AsyncIterator[Running]:
    """The boutique, on any free port; the tests of this module share it."""
    async with running("shop.system:shop", project, variables=os.environ) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def browser(shop: Running) -> AsyncIterator[Browser]:
    async with Browser(shop.url, 10.0, lambda _: None) as opened:
        yield opened


def asked(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer."""
    try:
        with urlopen(Request(url, body, headers or {}, method=method), timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


async def fill_basket(browser: Browser) -> dict[str, str]:
    """Put two mugs into a basket; returns the form of the till but for the card."""
    page = await browser.post("/basket", {"product_id": "tidepool-mug", "quantity": "2"})
    assert "Tidepool Mug" in page.text
    till = await browser.get("/checkout")
    basket = re.search(r'name="basket_id" value="(\w+)"', till.text)
    assert basket is not None
    return {"basket_id": basket[1], **ADDRESS}


@pytest.mark.parametrize("path", ["/", "/shelf", "/shelf/garden", "/find?q=teapot", "/item/harbour-teapot", "/account"])
async def test_every_page_is_there(browser: Browser, path: str) -> None:
    page = await browser.get(path)
    assert page.status == 200
    assert "</html>" in page.text


async def test_a_price_is_set_by_who_may_and_by_nobody_else(browser: Browser, shop: Running) -> None:
    async def put(price: int, *scopes: str) -> tuple[int, dict[str, Any]]:
        token = {"authorization": f"Bearer {shop.token('ada', *scopes)}"} if scopes else {}
        headers = {"content-type": "application/json", **token}
        body = json.dumps({"minor": price}).encode()
        return await asyncio.to_thread(asked, f"{shop.url}/products/harbour-teapot/price", "PUT", headers, body)

    page = await browser.get("/item/harbour-teapot")
    before = (await asyncio.to_thread(asked, f"{shop.url}/products/harbour-teapot"))[1]["price"]["minor"]
    assert (await put(9_876))[0] == 401
    assert (await put(9_876, "prices:read"))[0] == 403
    assert "98.76" not in page.text
    assert (await put(9_876, "prices:write"))[1]["price"]["minor"] == 9_876
    assert "98.76" in (await browser.get("/item/harbour-teapot")).text
    assert (await put(before, "prices:write"))[0] == 200


async def test_search_finds_a_thing_by_any_form_of_a_word(browser: Browser) -> None:
    assert "Cedar Candle" in (await browser.get("/find?q=candles")).text


async def test_a_page_recommends_what_another_language_thinks_goes_well(browser: Browser, shop: Running) -> None:
    if "recommendation" not in shop.addresses:
        pytest.skip("needs the program node")
    assert "Goes well with it" in (await browser.get("/item/harbour-teapot")).text


async def test_the_catalog_answers_by_itself_and_what_is_private_does_not(browser: Browser) -> None:
    assert '"id":"harbour-teapot"' in (await browser.get("/products/harbour-teapot")).text.replace(" ", "")
    unknown = await browser.get("/products/yacht")
    assert (unknown.status, "yacht" in unknown.text) == (404, True)
    for private in ("/orders", "/users", "/charges?order_ids=x", "/shipments?order_ids=x", "/mails?order_ids=x"):
        assert "</html>" in (await browser.get(private)).text  # the boutique's own "not here": no service behind it


async def test_prices_are_in_the_chosen_currency_on_every_page(browser: Browser) -> None:
    # Given two mugs in the basket, and a visitor who chooses yen on the page of a teapot
    await fill_basket(browser)
    assert "€ 1 is 180.94" in (await browser.get("/currency")).text
    page = await browser.post("/currency", {"currency": "JPY", "back": "/item/harbour-teapot"})
    # Then the visitor is back at the teapot, and no page shows another currency
    assert page.path == "/item/harbour-teapot"
    assert "¥ 8,323" in page.text  # € 46.00
    for path in ("/", "/shelf/kitchen", "/find?q=mug", "/item/harbour-teapot", "/basket", "/checkout"):
        text = (await browser.get(path)).text
        assert "¥" in text
        assert "€" not in text
    # And a currency that the boutique does not take counts for nothing
    assert "€ 46.00" in (await browser.post("/currency", {"currency": "XXX", "back": "/item/harbour-teapot"})).text


async def test_an_order_is_paid_in_the_currency_that_its_page_showed(browser: Browser, shop: Running) -> None:
    # Given a basket whose till shows dollars
    await browser.post("/currency", {"currency": "USD"})
    form = await fill_basket(browser)
    assert "Pay $ 46.64" in (await browser.get("/checkout")).text  # twice 20.83, and 4.98 for the parcel
    # When it is paid
    page = await browser.post("/checkout", {**form, "currency": "USD", "card": GOOD_CARD})
    # Then that is what was stored and charged
    assert 'data-currency="USD" data-total="4664"' in page.text
    outcome = await settle(shop.url, [Confirmed(form["basket_id"], Money("USD", 4664))])
    assert outcome.wrong == ()


async def test_a_page_has_a_corner_for_an_ad_of_something_else(browser: Browser) -> None:
    for path in ("/", "/shelf/garden", "/item/harbour-teapot"):
        assert AD in (await browser.get(path)).text


async def test_an_order_is_declined_then_paid_then_sent_and_told_of_once(
    browser: Browser, shop: Running, project: Path
) -> None:
    # Given a basket whose first card is declined
    form = await fill_basket(browser)
    declined = await browser.post("/checkout", {**form, "card": DECLINED_CARD})
    assert declined.status == 402
    assert "Nothing was ordered or charged" in declined.text
    # When another card pays, and the form is sent once more
    first = await browser.post("/checkout", {**form, "card": GOOD_CARD})
    again = await browser.post("/checkout", {**form, "card": GOOD_CARD})
    # Then both answers are the same order; it is sent once, and told of twice: that it is confirmed, and has left
    assert first.path == again.path == f"/thanks/{form['basket_id']}"
    assert "Thank you, Ada!" in first.text
    outcome = await settle(shop.url, [Confirmed(form["basket_id"], Money("EUR", 3600 + 430))])
    assert outcome.wrong == ()
    mailbox = project / "shop" / ".atoll" / "mailbox"
    assert "2 x Tidepool Mug" in (mailbox / f"{form['basket_id']}-confirmed.eml").read_text()
    shipped = (mailbox / f"{form['basket_id']}-shipped.eml").read_text()
    assert "for Hoorn in Holland" in shipped
    # And the page that says thank you shows the number that the mail does
    number = re.search(r"SP-[0-9A-F-]{14}", (await browser.get(first.path)).text)
    assert number is not None
    assert number[0] in shipped


async def test_a_basket_is_empty_after_its_order_and_the_next_one_is_new(browser: Browser) -> None:
    form = await fill_basket(browser)
    await browser.post("/checkout", {**form, "card": GOOD_CARD})
    assert "light to carry" in (await browser.get("/basket")).text
    assert (await fill_basket(browser))["basket_id"] != form["basket_id"]


async def test_a_form_that_is_not_filled_in_says_what_is_missing(browser: Browser) -> None:
    form = await fill_basket(browser)
    page = await browser.post("/checkout", {**form, "city": "", "card": GOOD_CARD})
    assert page.status == 422
    assert "In which city?" in page.text


async def test_who_registers_is_greeted_and_logs_in_again(browser: Browser, shop: Running) -> None:
    account = {"email": "grace@example.org", "password": "correct horse"}
    page = await browser.post("/account/register", {"name": "Grace Hopper", **account})
    assert "Hello, Grace Hopper" in page.text
    async with Browser(shop.url, 10.0, lambda _: None) as another:
        assert (await another.post("/account/log-in", {**account, "password": "wrong horse"})).status == 401
        assert "Hello, Grace Hopper" in (await another.post("/account/log-in", account)).text


def mails(trace: Trace) -> list[Span]:
    """Of each event that a mail was written for, the span of its handling."""
    return [span for span in trace.spans if span.service == "email" and span.kind == "consumer"]


async def test_one_order_is_one_trace_from_the_gateway_to_both_mails(browser: Browser, shop: Running) -> None:
    # Given an order
    form = await fill_basket(browser)
    began = time.time_ns()
    await browser.post("/checkout", {**form, "card": GOOD_CARD})
    # When its events have been handled and the spans are written
    found: list[Trace] = []

    def is_traced() -> bool:
        """Whether everybody has told of an order: spans are written a little later than they end."""
        everybody = {"gateway", "frontend", "checkout", "cart", "catalog", "payment", "shipping", "email"}
        traces = (trace for trace in shop.traces(20) if everybody <= set(trace.services))
        # One of a test before this may have been disturbed.
        known = (trace for trace in traces if len(trace.roots) == 1 and trace.roots[0].span.start >= began)
        found[:] = [trace for trace in known if len(mails(trace)) == 2]
        return bool(found)

    await eventually(is_traced)
    trace = found[0]
    # Then everything hangs below the gateway's span, and each mail below what caused it, over HTTP and NATS
    spans = {span.span: span for span in trace.spans}
    paths = []
    for hop in mails(trace):
        path = [f"{hop.service} {hop.kind}"]
        while hop.parent in spans:
            hop = spans[hop.parent]
            path.append(f"{hop.service} {hop.kind}")
        paths.append(path)
    first = ["checkout server", "frontend client", "frontend server", "gateway server"]
    paid = ["payment producer", "payment server", "checkout client", *first]
    # Whichever comes first confirms an order: the answer to the charge, or the event that tells of it.
    confirmed = (["email consumer", "checkout producer", *cause] for cause in (first, ["checkout consumer", *paid]))
    shipped = ["email consumer", "shipping producer", "shipping consumer", *paid]
    assert sorted(paths) in [[each, shipped] for each in confirmed]
    assert {"payment server", "cart server", "catalog server"} <= {
        f"{each.service} {each.kind}" for each in trace.spans
    }


async def test_every_order_of_a_crowd_is_paid_once_and_sent_once_and_told_of_once(shop: Running) -> None:
    summary = await shop_for(shop.url, seconds=2.0, customers=4)
    outcome = await settle(shop.url, summary.confirmed)
    assert len(summary.confirmed) >= 3
    assert (summary.unfinished, summary.errors, outcome.wrong) == (0, 0, ())


def orders(shop: Running) -> bytes:
    """The latest orders, as the office shows them."""
    with urlopen(f"{shop.url}/admin/orders?limit=3", timeout=5) as answer:
        return bytes(answer.read())


SERVICES = [
    "frontend",
    "admin",
    "catalog",
    "cart",
    "users",
    "currency",
    "checkout",
    "payment",
    "shipping",
    "email",
    "ads",
    "recommendation",
]
ENGINES = ["postgres", "nats", "envoy"]


@pytest.mark.parametrize("victim", [*SERVICES, *ENGINES])
async def test_no_order_is_lost_or_doubled_when_a_process_is_killed_under_customers(
    browser: Browser, shop: Running, victim: str
) -> None:
    # Given customers, and somebody who sees everything, in yen
    await fill_basket(browser)
    await browser.post("/currency", {"currency": "JPY"})
    crowd = asyncio.create_task(shop_for(shop.url, seconds=3.0, customers=4, seed=1))
    before = orders(shop)
    await eventually(lambda: orders(shop) != before)
    # When it is killed under them
    process = next(each for each in shop.status().processes if each.service == victim)
    os.kill(process.pid, signal.SIGKILL)
    summary = await crowd
    # Then it is back, everybody who wanted to pay could in the end, and each order is as promised
    await shop.ready(within=20.0)
    outcome = await settle(shop.url, summary.confirmed)
    assert summary.confirmed
    assert (summary.unfinished, outcome.wrong) == (0, ())
    # and whoever avoided it for a moment asks it again
    await eventually(lambda: is_whole(browser), "nothing is missing on any page")


async def is_whole(browser: Browser) -> bool:
    """Whether pages have all that they can be shown without."""
    item, basket = await browser.get("/item/harbour-teapot"), await browser.get("/basket")
    return all(part in item.text for part in (AD, "¥")) and PARCEL in basket.text


@pytest.mark.parametrize(
    ("victim", "path", "without"),
    [
        ("ads", "/item/harbour-teapot", AD),
        ("currency", "/item/harbour-teapot", "¥"),
        ("shipping", "/basket", PARCEL),
    ],
)
async def test_a_page_is_there_without_what_a_silent_service_would_say(
    browser: Browser, shop: Running, victim: str, path: str, without: str
) -> None:
    # Given somebody who sees everything, in yen
    await fill_basket(browser)
    await browser.post("/currency", {"currency": "JPY"})
    assert without in (await browser.get(path)).text
    # When a service takes calls and answers none
    process = next(each for each in shop.status().processes if each.service == victim)
    with standing_still(process.pid):
        page = await browser.get(path)
    # Then the page is there all the same
    assert page.status == 200
    assert without not in page.text
    assert "Harbour Teapot" in page.text or "Tidepool Mug" in page.text


async def test_without_node_the_boutique_is_open_and_says_what_it_goes_without(tmp_path: Path) -> None:
    # Given a machine on which Node.js is not to be found
    folder = shutil.copytree(EXAMPLE, tmp_path / "shop", ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    variables = {**os.environ, "PATH": str(tmp_path)}
    async with running("shop.system:shop", folder, variables=variables) as system:
        # When somebody looks at a product
        async with Browser(system.url, 10.0, lambda _: None) as browser:
            page = await browser.get("/item/harbour-teapot")
        # Then the page is there without recommendations, and the status says why
        assert (page.status, "Goes well with it" in page.text) == (200, False)
        left_out = [each for each in system.status().processes if each.state == "left out"]
        assert [each.service for each in left_out] == ["recommendation"]
        assert "node" in left_out[0].reason
