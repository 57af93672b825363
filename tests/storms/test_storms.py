"""A service at the bottom fails under traffic: who needs it fails fast, who does not is as quick as ever."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.runs import Run, ask, atoll, until

STORM = Path(__file__).parent / "storm" / "storm"
TARGET = "storm.system:system"
BUYERS = 30
SAMPLES = 150
NOISE = 0.05
"""Seconds by which any p99 of this machine may differ from another of the same."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(STORM, folder / "storm", ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    with Run(folder, target=TARGET) as run:
        yield run.ready()


class Buyers:
    """Ask for what needs the bottom, a hundred times a second at the most; asked counts them."""

    def __init__(self, run: Run) -> None:
        self._url, self._over, self.asked = f"{run.url}/buy", threading.Event(), 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._buy, daemon=True) for _ in range(BUYERS)]

    def _buy(self) -> None:
        while not self._over.wait(0.3):
            with self._lock:
                self.asked += 1
            ask(self._url)

    def __enter__(self) -> "Buyers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def p99(url: str) -> float:
    """Seconds, of answers that are all good."""
    taken = []
    for _ in range(SAMPLES):
        began = time.monotonic()
        assert ask(url)[0] == 200
        taken.append(time.monotonic() - began)
    return sorted(taken)[int(SAMPLES * 0.99)]


def at_the_bottom(run: Run) -> int:
    """Requests that it answered, or was given up on."""
    page = ask(f"http://127.0.0.1:{run.row('payment-1')['admin']}/metrics")[1]
    return sum(
        int(number)
        for number in re.findall(r"^http_server_request_duration_seconds_count\{.*\} (\d+)", page, re.MULTILINE)
    )


def breakers(run: Run) -> dict[str, dict[str, str]]:
    found = json.loads(atoll(run.folder, "status", TARGET, "--json").stdout)
    return {row["name"]: row["breakers"] for row in found["processes"] if row["breakers"]}


def order(run: Run, *what: str) -> None:
    found = atoll(run.folder, "fault", *what, "--system", TARGET)
    assert found.returncode == 0, found.stderr


def buys(run: Run) -> bool:
    return ask(f"{run.url}/buy")[0] == 200


@pytest.mark.parametrize("fault", ["latency=5", "errors=1"])
def test_who_does_not_need_what_fails_stays_quick_and_nothing_is_multiplied(run: Run, fault: str) -> None:
    order(run, "payment", "off")
    until(lambda: buys(run), "all is well")
    calm = {path: p99(f"{run.url}{path}") for path in ("/home", "/products")}
    with Buyers(run) as buyers:
        until(lambda: buyers.asked > 2 * BUYERS, "there is traffic")
        healthy = {path: max(calm[path], p99(f"{run.url}{path}")) for path in calm}
        # When the bottom fails
        asked, reached = buyers.asked, at_the_bottom(run)
        order(run, "payment", fault)
        # Whoever's deadline passes first judges: the tier above gives up, and then the one below has no verdict.
        until(lambda: bool(breakers(run)), "a breaker shows in the status")
        assert "breaker of " in atoll(run.folder, "status", TARGET).stdout
        # Then everything else is as quick as before
        for path, before in healthy.items():
            url, most = f"{run.url}{path}", max(1.5 * before, before + NOISE)
            assert any(p99(url) <= most for _ in range(3)), f"{path} took {before} before"
        # And no more requests than ever come down
        assert at_the_bottom(run) - reached <= 1.5 * (buyers.asked - asked) + BUYERS
        order(run, "payment", "off")
        until(lambda: buys(run), "it is sold again")
        until(lambda: not breakers(run), "all breakers are closed")


def test_a_dead_one_is_missed_for_no_longer_than_five_seconds(run: Run) -> None:
    order(run, "payment", "off")
    until(lambda: buys(run), "all is well")
    with Buyers(run) as buyers:
        until(lambda: buyers.asked > BUYERS, "there is traffic")
        pid = run.row("payment-1")["pid"]
        order(run, "payment", "kill")
        assert ask(f"{run.url}/home")[0] == 200
        assert ask(f"{run.url}/products")[0] == 200
        run.until_back("payment-1", pid)
        until(lambda: buys(run), "it is sold again", within=5)
