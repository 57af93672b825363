"""The commands of docs/how-to/prometheus.md and alerts.md, on a system that is watched by a real Prometheus.

A page arrives at a webhook through a real Alertmanager, is seen on the dashboard in a real browser, and is taken back;
a healthy run is silent.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.system.browsing import QUIET
from tests.system.runs import TARGET, Run, ask, copy_sample
from tests.system.webhook import Webhook
from tests.waiting import until

EDGE = "gateway→counter"
DOCS = Path(__file__).parents[2] / "docs" / "how-to"

pytestmark = [
    pytest.mark.needs_program("prometheus", "promtool", "prometheus-alertmanager", "amtool", "curl"),
    pytest.mark.timeout(240),
]


class Traffic:
    """Asks the counter through the gateway, twenty times a second."""

    def __init__(self, url: str) -> None:
        self._url, self._over = url, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            ask(f"{self._url}/counts/nobody")

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Watched:
    """A run that is watched, and the webhook of its alerts."""

    def __init__(self, run: Run, webhook: Webhook) -> None:
        self.run, self.webhook = run, webhook

    def api(self, path: str) -> Any:
        status, body = ask(f"{self.run.status['watching']['prometheus']}/api/v1/{path}")
        return json.loads(body)["data"] if status == 200 else {}

    def values(self, query: str) -> dict[str, float]:
        """By job, of an instant query."""
        found = self.api(f"query?query={urllib.parse.quote(query)}")
        return {each["metric"].get("job", ""): float(each["value"][1]) for each in found.get("result", [])}

    def alerts(self) -> list[str]:
        unknown = [{"labels": {"alertname": "it does not answer"}}]
        return [each["labels"]["alertname"] for each in self.api("alerts").get("alerts", unknown)]


def commands(page: str) -> list[str]:
    """What a reader of the page types; the boutique's payment is the sample's counter."""
    lines = [line for line in (DOCS / page).read_text().splitlines() if line.startswith("$ ")]
    return [line[2:].partition("  #")[0].strip().replace("payment", "counter") for line in lines]


def typed(folder: Path, command: str) -> str:
    """Its output, if it succeeds."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, f"{command}\n{found.stdout}{found.stderr}"
    return found.stdout


@pytest.fixture
def page(program: Callable[[str], str]) -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program("chromium"), args=list(QUIET))
        yield browser.new_page(viewport={"width": 1440, "height": 800})
        browser.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = copy_sample(tmp_path_factory.mktemp("project"))
    (folder / "pyproject.toml").write_text(f'[tool.atoll]\nsystem = "{TARGET}"\n')
    with Webhook() as webhook:
        environments = folder / "sample" / "environments"
        environments.mkdir(exist_ok=True)
        urls = f'page = "{webhook.url}/page"\nticket = "{webhook.url}/ticket"\n'
        (environments / "local.toml").write_text(f"[monitoring]\n{urls}")
        with Run(folder, "--prometheus") as run:
            watched = Watched(run.ready(), webhook)
            assert ask(f"{run.url}/hello/ann")[0] == 200
            served = "sum by (job) (http_server_request_duration_seconds_count)"
            until(lambda: "sample/counter" in watched.values(served), "the first request is measured")
            yield watched


def test_everything_that_runs_is_measured(watched: Watched) -> None:
    run = watched.run
    jobs = {"sample/counter", "sample/greeter", "sample/gateway", "sample/figures"}
    until(lambda: watched.values("up") == dict.fromkeys(jobs, 1.0), "every page is read")
    # What was asked for is there under the names of OpenTelemetry, from the gateway to the engines.
    assert ask(f"{run.url}/hello/ann")[0] == 200
    for query in (
        'sum by (job) (http_server_request_duration_seconds_count{job="sample/greeter",http_route="/hello/{name}"})',
        'sum by (job) (http_client_request_duration_seconds_count{job="sample/greeter"})',
        'sum by (job) (envoy_cluster_upstream_rq_total{job="sample/gateway"})',
        "postgresql_up",
        'sum by (job) (postgresql_commits_total{db_namespace="counter"})',
        "nats_up",
        "sum by (job) (nats_stream_stored_total)",
        'atoll_process_ready{process="echo-1"}',
        'target_info{service_name="counter"}',
        "sum by (job) (db_client_connection_max)",
    ):
        until(lambda query=query: any(value > 0 for value in watched.values(query).values()), query)  # type: ignore[misc]


def test_the_how_to_of_prometheus_works_as_it_is_written(watched: Watched) -> None:
    begin, *rest = commands("prometheus.md")
    assert begin == "atoll run --prometheus"
    until(lambda: watched.values("up").get("sample/counter") == 1.0, "the page of counter is read")
    said = [typed(watched.run.folder, command) for command in rest]
    assert any('"sample/counter"' in each for each in said), "the query is answered"
    assert any("SUCCESS" in each for each in said), "promtool is content"


def test_a_page_arrives_within_a_minute_is_seen_and_taken_back_and_a_healthy_run_is_silent(
    watched: Watched, page: Page
) -> None:
    run, webhook = watched.run, watched.webhook
    begin, fault, look, off = commands("alerts.md")
    assert begin == "atoll run --prometheus"
    with Traffic(run.url):
        # Given a system with traffic that is measured by every rule
        until(lambda: watched.values("job:slo_bad:ratio_rate1m").get("sample/counter") == 0.0, "nothing is bad")
        until(
            lambda: (
                watched.values("sum by (job) (increase(http_server_request_duration_seconds_count[1m]))").get(
                    "sample/counter", 0
                )
                > 200
            ),
            "traffic is measured",
        )
        # Another test may have restarted a service just now: that may be noticed, and nobody is woken by it.
        until(lambda: watched.alerts() == [], "no rule has a suspicion", why=lambda: str(watched.alerts()))
        assert webhook.told == []
        is_calm(page, run)
        # When half of the answers are errors
        typed(run.folder, fault)
        began = time.monotonic()
        # Then somebody is woken
        who = {"alertname": "ErrorBudgetBurn", "service": "counter", "slo": "availability", "severity": "page"}
        until(lambda: webhook.has("/page", "firing", **who), "the page arrives", within=60)
        assert time.monotonic() - began < 60
        assert "answers 500 to 50%" in typed(run.folder, look)
        # Who sees on the dashboard why
        is_alarmed(page, run)
        # And may sleep again when it is over
        typed(run.folder, off)
        until(lambda: webhook.has("/page", "resolved", **who), "it is taken back", within=120)
        assert {labels["service"] for _, _, labels in webhook.told} == {"counter"}
        is_calm(page, run)


def is_calm(page: Page, run: Run) -> None:
    """The alerts page and the map, which draw themselves while one looks. A ticket may stay, and red for a minute."""
    page.goto(f"{run.status['watching']['dashboard']}/alerts")
    expect(page.locator("main")).to_contain_text("Pages of their own")  # Alertmanager has answered
    expect(page.locator("td.bad", has_text="page")).to_have_count(0)
    page.locator("header").get_by_role("link", name="Map").click()
    expect(page.locator(f'.link.good[data-edge="{EDGE}"]')).to_have_count(1, timeout=90_000)
    expect(page.locator(".link.bad, .node.bad, .wrong")).to_have_count(0)


def is_alarmed(page: Page, run: Run) -> None:
    """A red edge and service; from there to the line that says why, and to the alert."""
    page.goto(run.status["watching"]["dashboard"])
    expect(page.locator(f'.link.bad[data-edge="{EDGE}"]')).to_have_count(1)
    expect(page.locator('[data-node="counter"].bad')).to_have_count(1)
    # One: the red edge's label. Two: a failing trace. Three: the line.
    page.locator('.label.bad[href*="service=counter"]').first.click()
    page.locator("table.traces tbody tr.failed a").first.click()
    page.locator(".waterfall > .log a").first.click()
    expect(page.locator("main")).to_contain_text("answered 500 on purpose")
    page.locator("header").get_by_role("link", name="Map").click()
    page.locator(".wrong a", has_text="counter misses what it promises").first.click()
    row = page.locator("tr", has_text="ErrorBudgetBurn")
    expect(row.first).to_contain_text("counter")
    expect(row.locator("td.bad").first).to_have_text("page")


def test_prometheus_reads_rules_and_targets_of_a_changed_declaration(watched: Watched) -> None:
    system = watched.run.folder / "sample" / "system.py"
    text = system.read_text()
    system.write_text(
        text.replace('Service("greeter", GreeterService,', 'Service("greeter", GreeterService, slo=Slo(),')
    )
    assert system.read_text() != text

    def rules() -> set[str]:
        groups = watched.api("rules").get("groups", [])
        return {group["name"] for group in groups}

    until(lambda: "sample/greeter availability" in rules(), "the new promise is watched")


def test_every_figure_is_in_the_reference(watched: Watched) -> None:
    reference = (DOCS.parent / "reference" / "metrics.md").read_text()
    rows = watched.run.status["processes"]
    pages = [f"http://127.0.0.1:{row['admin']}/metrics" for row in rows if row["admin"] and row["kind"] == "service"]
    pages.append(watched.run.status["watching"]["figures"])
    text = "\n".join(ask(page)[1] for page in pages)
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert len(names) > 50
    assert [name for name in sorted(names) if f"`{name}`" not in reference] == []
