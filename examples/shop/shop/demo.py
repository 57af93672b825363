"""The demonstration: start the boutique, send customers, and check every order that they were promised.

python -m shop.demo [--seconds 10] [--customers 8] [--port 8080 | --at http://a.cluster:30080]

Exits with 0 if every order of a good card was confirmed, and every confirmed order was paid, sent
and told of exactly once.
On a terminal it then stays up until Ctrl-C; anywhere else it stops.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from msgspec import Struct, convert

from atoll import AtollError
from atoll.testing import Running, running

from .customers import Confirmed, Summary, shop_for, told
from .emails.contract import Kind
from .money import Money

SYSTEM = "shop.system:shop"
PROJECT = Path(__file__).parents[1]
PORT_TAKEN = "ATL4004"
AT_ONCE = 50  # orders of one question to the office
SETTLED_WITHIN = 20.0  # seconds that events may take to arrive, after the last customer has gone


class Audit(Struct, frozen=True):
    """What the office says of an order: each charge, each parcel's number, and the kind of each mail."""

    order_id: str
    status: str
    total: Money
    charges: list[Money]
    shipments: list[str]
    mails: list[Kind]


@dataclass(frozen=True)
class Outcome:
    """What came of the orders that customers saw confirmed. wrong: a sentence for each that is not as promised."""

    shipments: int
    mails: int
    seconds_to_settle: float
    wrong: tuple[str, ...]


def why_wrong(order: Confirmed, found: Audit) -> str:
    """What is not as the customer was promised; "" if all is well."""
    if found.status != "confirmed":
        return f"order {order.order_id} is {found.status}, and its customer was told that it is confirmed"
    if len(found.charges) != 1:
        return f"order {order.order_id} was paid {len(found.charges)} times"
    if not order.paid == found.total == found.charges[0]:
        return f"order {order.order_id}: shown {order.paid}, stored {found.total}, charged {found.charges[0]}"
    if len(found.shipments) != 1:
        return f"order {order.order_id} was sent {len(found.shipments)} times"
    for kind in Kind:
        if found.mails.count(kind) != 1:
            return f"its customer was told {found.mails.count(kind)} times that order {order.order_id} is {kind}"
    return ""


async def settle(url: str, orders: Sequence[Confirmed]) -> Outcome:
    """Ask the office about each order until all is as promised, or SETTLED_WITHIN is over."""
    began = time.monotonic()
    while True:
        found = await asyncio.to_thread(audits, url, orders)
        missing = [f"the office knows nothing of order {order.order_id}" for order in orders[len(found) :]]
        wrong = [why for order, audit in zip(orders, found, strict=False) if (why := why_wrong(order, audit))]
        seconds = time.monotonic() - began
        if not (wrong or missing) or seconds > SETTLED_WITHIN:
            shipments, mails = (sum(len(audit.shipments) for audit in found), sum(len(audit.mails) for audit in found))
            return Outcome(shipments, mails, seconds, (*wrong, *missing))
        await asyncio.sleep(0.1)  # between two questions; events take a few milliseconds


def audits(url: str, orders: Sequence[Confirmed]) -> list[Audit]:
    """What the office says of the orders, in their order; of the first ones only, if it stops answering."""
    found: list[Audit] = []
    for first in range(0, len(orders), AT_ONCE):
        query = urlencode({"order_id": [order.order_id for order in orders[first : first + AT_ONCE]]}, doseq=True)
        try:
            with urlopen(f"{url}/admin/audit?{query}", timeout=5.0) as answer:  # noqa: S310 - our own gateway
                found += convert(json.load(answer), list[Audit])
        except (URLError, TimeoutError):
            break
    return found


def report(url: str, summary: Summary, outcome: Outcome) -> str:
    """What a person likes to read at the end."""
    lines = [
        *(f"  {line}" for line in told(summary).splitlines()),
        f"  parcels   {outcome.shipments} sent",
        f"  mails     {outcome.mails} written, the last within {outcome.seconds_to_settle:.1f} s",
        "",
    ]
    if outcome.wrong:
        lines += [f"  WRONG     {sentence}" for sentence in outcome.wrong]
    elif summary.unfinished:
        lines += [f"  WRONG     {summary.unfinished} orders were never confirmed"]
    else:
        lines += ["  Every confirmed order is paid once, sent once, and its customer told once of each."]
    lines += [
        "",
        f"  the boutique   {url}/",
        f"  its office     {url}/admin/",
        f"  its catalog    {url}/products",
    ]
    return "\n".join(lines)


def about(system: Running) -> tuple[str, str]:
    """What is known of a boutique that was started here: what stands before the report, and what after."""
    left_out = [f"{each.service}: {each.reason}" for each in system.status().processes if each.state == "left out"]
    mails = f"  its mails      {Path(__file__).parent / '.atoll' / 'mailbox'}\n"
    mails += f"  its dashboard  {system.status().dashboard}\n"
    return f"\n  ready     after {system.seconds_to_ready:.1f} s", mails + "".join(
        f"\n  left out  {each}" for each in left_out
    )


async def start(stack: AsyncExitStack, port: int, say: Callable[[str], None]) -> Running:
    """The boutique, on the declared ports; on others where another program has one of those."""
    for gateway, any_ports in ((port, False), (port, True)):
        try:
            system = running(
                SYSTEM, PROJECT, variables=os.environ, port=gateway, any_ports=any_ports, prometheus=is_watched()
            )
            return await stack.enter_async_context(system)
        except AtollError as error:
            if {problem.code for problem in error.problems} != {PORT_TAKEN}:
                raise
            for problem in error.problems:
                say(f"{problem.sentence} Another will do.")
    return await stack.enter_async_context(running(SYSTEM, PROJECT, variables=os.environ))


def is_watched() -> bool:
    """Whether this machine has what watches a system."""
    return bool(which("prometheus") and (which("alertmanager") or which("prometheus-alertmanager")))


async def keep_coming(url: str) -> None:
    """Two customers at a time, until cancelled."""
    while True:
        await shop_for(url, seconds=60.0, customers=2)


async def visit(url: str, options: argparse.Namespace, say: Callable[[str], None]) -> tuple[str, bool]:
    """Send customers, and check every order: what came of it in words, and whether all was as promised."""
    say(f"Ready: {url}/ — customers are coming in …")
    summary = await shop_for(url, seconds=options.seconds, customers=options.customers)
    outcome = await settle(url, summary.confirmed)
    is_right = bool(summary.confirmed) and not summary.unfinished and not outcome.wrong
    return report(url, summary, outcome), is_right


async def demonstrate(options: argparse.Namespace, say: Callable[[str], None], *, stay: bool) -> int:
    """Start, send customers, check, tell; 0 if all was as promised. stay: do not stop before being interrupted."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # we are in it
    loop.add_signal_handler(signal.SIGTERM, task.cancel)  # so that everything is stopped in order
    if options.at:
        told_of, is_right = await visit(options.at.rstrip("/"), options, say)
        say(f"\n{told_of}\n")
        return 0 if is_right else 1
    say("Starting the boutique on PostgreSQL, NATS and Envoy (the first time takes a few seconds longer) …")
    async with AsyncExitStack() as stack:
        system = await start(stack, options.port, say)
        told_of, is_right = await visit(system.url, options, say)
        before, after = about(system)
        say(f"{before}\n{told_of}\n{after}")
        if stay:
            enough = asyncio.Event()
            loop.add_signal_handler(signal.SIGINT, enough.set)
            for name, address in system.status().watching.items():
                say(f"  {name:<14} {address}")
            say("It stays up, and two customers at a time keep coming, until you press Ctrl-C.")
            coming = asyncio.create_task(keep_coming(system.url))
            await enough.wait()
            coming.cancel()
            await asyncio.wait({coming})
            say("Stopping …")
    return 0 if is_right else 1


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m shop.demo", description="Start the boutique and send customers.")
    parser.add_argument("--seconds", type=float, default=10.0, help="for which customers come (default: 10)")
    parser.add_argument("--customers", type=int, default=8, help="how many at a time (default: 8)")
    parser.add_argument("--port", type=int, default=8080, help="of the gateway; 0 takes any (default: 8080)")
    parser.add_argument("--at", default="", metavar="URL", help="visit the boutique that runs there, and start none")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(demonstrate(options, lambda text: print(text, flush=True), stay=sys.stdout.isatty()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("Stopped before the end.")
        return 130
    except AtollError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
