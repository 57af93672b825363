"""Customers: they look around, search, fill baskets and pay, and some of their cards are declined.

python -m shop.customers URL --seconds 10 --customers 8 [--json]

They know the boutique by its pages alone, through the gateway, so they can be sent to any address. There are as many
of them as asked for, each waits for one answer before the next request, and after the time is up they finish paying
and go home: the load is bounded on all sides.
"""

import argparse
import asyncio
import math
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from .browser import Answer, Browser, Page
from .money import Money, total
from .payment.contract import DECLINED_CARD, GOOD_CARD

ROOMS = ("kitchen", "home", "wear", "paper", "garden", "play")
WORDS = ("candle", "sea", "book", "blue", "morning", "garden", "cat", "star", "wind", "lamp", "yacht")
PLACES = (
    ("12 Quay Street", "Galway", "Ireland"),
    ("Rua do Mar 3", "Porto", "Portugal"),
    ("Kade 7", "Hoorn", "Holland"),
)
CURRENCIES = ("CHF", "GBP", "JPY", "USD")
NAMES = ("Ada", "Grace", "Edsger", "Barbara", "Alan", "Radia", "Tony", "Frances", "Leslie", "Hedy")

PATIENCE = 10.0  # seconds for one page
TRIES = 6  # times that "Pay" is pressed before a customer gives up
FIRST_WAIT = 0.25  # seconds before it is pressed again, twice as long each time: 8 seconds in all


@dataclass(frozen=True)
class Confirmed:
    """An order as its thank-you page shows it."""

    order_id: str
    paid: Money


@dataclass(frozen=True)
class Summary:
    """What the customers met.

    seconds: from the first request to the last answer. confirmed: the orders, each with a thank-you page.
    declined: cards that were declined. unfinished: orders of good cards that were never confirmed.
    errors: requests without an answer, or with a status of 500 and above. failed: the first ten of them, in words.
    p50, p99: seconds in which half of the requests, and 99 of 100, were answered.
    """

    customers: int
    seconds: float
    requests: int
    confirmed: tuple[Confirmed, ...]
    declined: int
    unfinished: int
    errors: int
    failed: tuple[str, ...]
    p50: float
    p99: float

    @property
    def revenue(self) -> list[Money]:
        """What the confirmed orders were paid with, by currency."""
        paid = [order.paid for order in self.confirmed]
        return [
            total(each for each in paid if each.currency == currency)
            for currency in sorted({each.currency for each in paid})
        ]


@dataclass
class Diary:
    """What is noted while customers are about; `summary` closes it."""

    answers: list[Answer]
    confirmed: list[Confirmed]
    declined: int = 0
    unfinished: int = 0

    def summary(self, customers: int, seconds: float) -> Summary:
        times = sorted(answer.seconds for answer in self.answers)
        failed = [answer for answer in self.answers if answer.status == 0 or answer.status >= 500]
        return Summary(
            customers=customers,
            seconds=seconds,
            requests=len(times),
            confirmed=tuple(self.confirmed),
            declined=self.declined,
            unfinished=self.unfinished,
            errors=len(failed),
            failed=tuple(
                f"{each.method} {each.path}: {each.status or 'no answer'} after {each.seconds:.2f} s: {each.reason}"
                for each in failed[:10]
            ),
            p50=percentile(times, 0.50),
            p99=percentile(times, 0.99),
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed, by nearest rank; 0 for none. ordered: ascending."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


async def shop_for(
    url: str, *, seconds: float, customers: int, seed: int = 0, closing: asyncio.Event | None = None
) -> Summary:
    """Send customers to the boutique at `url`, and tell what they met.

    seconds: after this long, or when it is `closing`, nobody begins anything new. seed: the same seed makes the same
    wishes.
    """
    diary = Diary([], [])
    started = time.monotonic()

    def is_open() -> bool:
        return time.monotonic() < started + seconds and not (closing and closing.is_set())

    async with asyncio.TaskGroup() as group:
        for number in range(customers):
            group.create_task(_visits(url, random.Random(f"{seed}/{number}"), is_open, diary))
    return diary.summary(customers, time.monotonic() - started)


async def _visits(url: str, chance: random.Random, is_open: Callable[[], bool], diary: Diary) -> None:
    """One visit after the other, each of somebody new, until the time is up."""
    while is_open():
        async with Browser(url, PATIENCE, diary.answers.append) as browser:
            customer = Customer(browser, chance, is_open, diary)
            try:
                await customer.visit()
            except (OSError, TimeoutError):
                await customer.pause()  # the request is in the diary; whoever meets a closed door comes again later


class Customer:
    """Somebody who visits once."""

    def __init__(self, browser: Browser, chance: random.Random, is_open: Callable[[], bool], diary: Diary) -> None:
        self._browser = browser
        self._chance = chance
        self._is_open = is_open
        self._diary = diary

    async def visit(self) -> None:
        """Look around, take something, and perhaps pay for it."""
        await self._browser.get("/")
        if self._chance.random() < 0.1:
            await self._open_account()
        if self._chance.random() < 0.3:
            await self._browser.post("/currency", {"currency": self._chance.choice(CURRENCIES)})
        page = await self._look_around()
        things = re.findall(r'href="/item/([a-z0-9-]+)"', page.text)
        has_basket = False
        for thing in self._chance.sample(things, min(len(things), self._chance.randint(1, 3))):
            await self.pause()
            await self._browser.get(f"/item/{thing}")
            if self._chance.random() < 0.8 and self._is_open():
                form = {"product_id": thing, "quantity": str(self._chance.choice((1, 1, 1, 2)))}
                page = await self._browser.post("/basket", form)
                has_basket = has_basket or page.status == 200
        await self.pause()
        if has_basket and self._chance.random() < 0.8 and self._is_open():
            await self._pay()

    async def pause(self) -> None:
        """Think for a moment."""
        await asyncio.sleep(self._chance.uniform(0.01, 0.08))

    async def _look_around(self) -> Page:
        choice = self._chance.random()
        if choice < 0.55:
            return await self._browser.get(f"/shelf/{self._chance.choice(ROOMS)}")
        if choice < 0.8:
            return await self._browser.get(f"/find?q={self._chance.choice(WORDS)}")
        return await self._browser.get("/shelf")

    async def _open_account(self) -> None:
        name, number = self._chance.choice(NAMES), self._chance.getrandbits(48)
        form = {"name": name, "email": f"{name.lower()}.{number:x}@customers.example", "password": f"{number:016x}"}
        await self._browser.post("/account/register", form)

    async def _pay(self) -> None:
        page = await self._browser.get("/checkout")
        basket = re.search(r'name="basket_id" value="([0-9a-f]{32})"', page.text)
        if page.status != 200 or basket is None:
            return
        currency = re.search(r'name="currency" value="([A-Z]{3})"', page.text)
        form = {**self._form(basket[1]), "currency": currency[1] if currency else "EUR"}
        if self._chance.random() < 0.15:
            page = await self._browser.post("/checkout", {**form, "card": DECLINED_CARD})
            self._diary.declined += page.status == 402
            if self._chance.random() < 0.5:
                return  # goes home without it
        for tried in range(TRIES):
            if tried:
                await asyncio.sleep(FIRST_WAIT * 2 ** (tried - 1))
            confirmed = await self._press_pay(form)
            if confirmed:
                self._diary.confirmed.append(confirmed)
                return
        self._diary.unfinished += 1

    async def _press_pay(self, form: dict[str, str]) -> Confirmed | None:
        """Press the button; if it is not clear what came of it, look for the order, as the page advises."""
        try:
            page = await self._browser.post("/checkout", form)
            if page.status >= 500:
                page = await self._browser.get(f"/thanks/{form['basket_id']}")
        except (OSError, TimeoutError):
            return None
        order = re.search(r'data-order="([0-9a-f]+)"', page.text)
        paid = re.search(r'data-currency="([A-Z]{3})" data-total="(\d+)"', page.text)
        return Confirmed(order[1], Money(paid[1], int(paid[2]))) if order and paid else None

    def _form(self, basket_id: str) -> dict[str, str]:
        name = self._chance.choice(NAMES)
        street, city, country = self._chance.choice(PLACES)
        return {
            "basket_id": basket_id,
            "email": f"{name.lower()}@customers.example",
            "name": f"{name} of {city}",
            "street": street,
            "city": city,
            "country": country,
            "card": GOOD_CARD,
        }


def main(arguments: Sequence[str]) -> int:
    """The command line; 0 if every order that was begun with a good card was confirmed."""
    parser = argparse.ArgumentParser(prog="python -m shop.customers", description="Send customers to a boutique.")
    parser.add_argument("url", help="of the gateway, such as http://127.0.0.1:8080")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--customers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    summary = asyncio.run(
        shop_for(options.url, seconds=options.seconds, customers=options.customers, seed=options.seed)
    )
    if options.json:
        print(msgspec.json.encode(msgspec.to_builtins(summary) | {"revenue": summary.revenue}).decode())
    else:
        print(told(summary))
    return 1 if summary.unfinished else 0


def told(summary: Summary) -> str:
    """The summary in a few lines."""
    orders = len(summary.confirmed)
    rate = summary.requests / summary.seconds if summary.seconds else 0.0
    return "\n".join(
        [
            f"customers {summary.customers} at a time, for {summary.seconds:.1f} s",
            f"orders    {orders} confirmed, {summary.declined} declined, {summary.unfinished} unfinished",
            f"revenue   {', '.join(map(str, summary.revenue)) or 'none'}",
            f"requests  {summary.requests} ({rate:.0f}/s), {summary.errors} errors",
            f"answered  half within {1000 * summary.p50:.1f} ms, 99 of 100 within {1000 * summary.p99:.1f} ms",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
