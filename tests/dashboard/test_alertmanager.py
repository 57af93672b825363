"""What the dashboard asks a real Alertmanager that others tell of their alerts too."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from atoll.dashboard.alertmanager import alerts
from atoll.engines.alertmanager import Receivers, routing
from atoll.engines.pace import Pace
from tests.cluster.prometheus import alerting
from tests.ports import free_port
from tests.waiting import until


def alert(name: str, severity: str, namespace: str, **more: str) -> dict[str, object]:
    labels = {"alertname": name, "severity": severity, "system": "shop", "service": "payment", **more}
    return {"labels": {**labels, **({"namespace": namespace} if namespace else {})}}


@pytest.mark.needs_program("prometheus-alertmanager")
def test_alerts_of_another_environment_are_neither_shown_nor_silence_ours(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    (tmp_path / "alertmanager.yml").write_text(json.dumps(routing(Receivers(), Pace())))
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    told = [
        # What is down in one environment explains what fails there, and nothing elsewhere.
        alert("ServiceDown", "page", "shop"),
        alert("ErrorBudgetBurn", "page", "shop", slo="availability"),
        alert("ErrorBudgetBurn", "page", "shop-staging", slo="availability"),
        alert("ErrorBudgetBurn", "ticket", "shop-third", slo="availability"),
    ]

    def shown(namespace: str) -> list[tuple[str, str]]:
        # It may be asked in vain: a page waits for it no longer than a page may.
        found = alerts(url, "shop", namespace) or ()
        return [(each.labels["namespace"], each.labels["alertname"]) for each in found]

    with alerting(tmp_path, program("prometheus-alertmanager"), address):
        body = json.dumps(told).encode()
        asked = urllib.request.Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.status == 200
        until(lambda: len(shown("")) == 3, "all are known, and the one that is explained is not said")
        until(lambda: shown("shop") == [("shop", "ServiceDown")])
        until(lambda: shown("shop-staging") == [("shop-staging", "ErrorBudgetBurn")])
        until(lambda: shown("shop-third") == [("shop-third", "ErrorBudgetBurn")])
        until(lambda: alerts(url, "shop", "shop-fourth") == [])
