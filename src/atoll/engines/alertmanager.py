"""Alertmanager: who is told what, when, and what is not said because something else explains it."""

import json
from dataclasses import dataclass, field
from pathlib import PurePath

from atoll.engines.engine import Command, Engine, File, HttpGet
from atoll.engines.pace import Pace

NAME = "alertmanager"

_ONE = ("system", "namespace", "service")
"""What one service of one environment has in common; on one machine there is no namespace, which is as equal."""


@dataclass(frozen=True, slots=True)
class Receivers:
    """Webhooks of who is woken by a page, and of who finds a ticket in the morning; "" tells nobody."""

    page: str = field(default="", repr=False)
    ticket: str = field(default="", repr=False)


def engine(program: PurePath, port: int, receivers: Receivers, pace: Pace, folder: PurePath) -> Engine:
    """Alertmanager with its data in `folder`."""
    configuration = folder / "alertmanager.yml"
    command = Command(
        arguments=(
            str(program),
            f"--config.file={configuration}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            # One alone: no gossip, and nothing that listens for it.
            "--cluster.listen-address=",
            "--data.retention=24h",
        ),
        directory=folder,
    )
    # A webhook's address may hold a secret, so only its owner may read it.
    file = File(configuration, json.dumps(routing(receivers, pace), indent=2) + "\n")
    return Engine(NAME, (file,), command, HttpGet("/-/ready", port=port))


def routing(receivers: Receivers, pace: Pace) -> dict[str, object]:
    """The configuration: pages at once and again, tickets in their time."""
    return {
        "route": {
            "receiver": "ticket",
            "group_by": ["alertname", *_ONE, "job"],
            "group_wait": pace.window(60),
            "group_interval": pace.window(300),
            "repeat_interval": pace.window(86_400),
            "routes": [
                {
                    "matchers": ['severity="page"'],
                    "receiver": "page",
                    "group_wait": pace.window(30),
                    "repeat_interval": pace.window(3_600),
                }
            ],
        },
        "inhibit_rules": [
            # Who is awake need not be written to.
            _silence(['severity="page"'], ['severity="ticket"'], "alertname", *_ONE, "slo"),
            # What is down answers nothing in time.
            _silence(['alertname="ServiceDown"'], ['alertname="ErrorBudgetBurn"'], *_ONE),
        ],
        "receivers": [_receiver("page", receivers.page), _receiver("ticket", receivers.ticket)],
    }


def _silence(source: list[str], target: list[str], *equal: str) -> dict[str, object]:
    return {"source_matchers": source, "target_matchers": target, "equal": list(equal)}


def _receiver(name: str, url: str) -> dict[str, object]:
    webhooks = {"webhook_configs": [{"url": url, "send_resolved": True}]} if url else {}
    return {"name": name, **webhooks}
