"""The boutique in a cluster: changed, scaled and rolled back under the eyes of its customers, who notice nothing."""

import asyncio
import base64
import json
import re
import sys
from pathlib import Path

import pytest
from shop.customers import shop_for
from shop.demo import settle

from atoll.engines.service_levels import DURATION
from tests.cluster.programs import run
from tests.cluster.prometheus import beside
from tests.cluster.shop import Shop
from tests.conftest import find_program
from tests.waiting import eventually, until

# Whose pods have no page of figures.
NOT_MEASURED = {"postgres", "nats", "setup", "recommendation", "collector"}

pytestmark = pytest.mark.timeout(600)


def test_the_demonstration_of_a_laptop_is_the_same_in_a_cluster(shop: Shop) -> None:
    said = run([sys.executable, "-m", "shop.demo", "--at", shop.url], folder=shop.folder, within=60)
    assert re.search(r"requests +[1-9][0-9]* .*, 0 errors", said), said
    assert "Every confirmed order is paid once, sent once, and its customer told once of each." in said


async def test_a_deployment_that_changes_nothing_touches_nothing(shop: Shop) -> None:
    # A rollback before it leaves the Jobs of what it went back to behind: nothing was prepared again.
    shop.atoll("deploy", "-e", "test")
    before = shop.generations()
    answer = json.loads(shop.atoll("deploy", "-e", "test", "--json"))
    assert answer["applied"] == []
    assert answer["removed"] == []
    assert answer["url"] == shop.url
    assert shop.generations() == before


async def test_a_new_version_and_its_rollback_fail_no_request_and_touch_no_other_service(shop: Shop) -> None:
    before = shop.generations()
    with shop.edited("checkout/service.py", '"""', '"""(Again.) '):
        await asyncio.to_thread(shop.build, "checkout")
        async with shop.customers():
            await asyncio.to_thread(shop.atoll, "deploy", "checkout", "-e", "test")
            after = shop.generations()
            await asyncio.to_thread(shop.atoll, "rollback", "-e", "test")
            await asyncio.to_thread(shop.left, "checkout")
    assert after.pop("checkout") > before.pop("checkout")
    assert after == before


async def test_a_pod_of_any_service_with_two_of_them_can_be_deleted_and_no_request_fails(shop: Shop) -> None:
    several = [name for name, each in shop.deployments().items() if each["status"].get("readyReplicas", 0) >= 2]
    assert {"frontend", "catalog", "cart", "users", "checkout", "payment", "shipping"} <= set(several)
    async with shop.customers():
        for name in several:
            pod, *_ = shop.pods(name)
            await asyncio.to_thread(shop.kubectl.run, "delete", "pod", pod, "--wait=false")
            await asyncio.to_thread(shop.rolled_out, name)
        for name in several:
            await asyncio.to_thread(shop.left, name)


async def test_scaling_from_three_to_one_and_back_fails_no_request(shop: Shop) -> None:
    assert len(shop.pods("users")) == 3
    async with shop.customers():
        for count in (1, 3):
            await asyncio.to_thread(shop.kubectl.run, "scale", "deployment/users", f"--replicas={count}")
            await asyncio.to_thread(shop.rolled_out, "users")
            await asyncio.to_thread(shop.left, "users")
    assert len(shop.pods("users")) == 3


async def test_what_is_rendered_comes_up_with_kubectl_alone(shop: Shop) -> None:
    # Given the same system for another namespace, in files
    name = shop.environment("alone", old="node_port = 30080", new="node_port = 30081")
    file = shop.folder / "shop" / "environments" / f"{name}.toml"
    file.write_text('[cluster]\nnamespace = "alone"\n' + re.sub(r"replicas = 2", "replicas = 1", file.read_text()))
    folder = shop.folder / "rendered"
    await asyncio.to_thread(shop.atoll, "render", "kubernetes", "-e", name, "--output", str(folder))
    kubectl = shop.cluster.kubectl.in_namespace("alone")
    try:
        # When kubectl applies them, in whatever order it likes
        await asyncio.to_thread(kubectl.run, "apply", "--server-side", "-k", folder)
        # Then all of it comes up, and sells
        await asyncio.to_thread(kubectl.wait, "condition=Available", "deployment", "--all", within=240)
        await asyncio.to_thread(kubectl.wait, "condition=Complete", "job", "--all", within=120)
        alone = Shop(shop.folder, shop.cluster, shop.url.replace("30080", "30081"), "alone")
        alone.opened()
        await alone.sells()
        async with alone.customers(count=2):
            pass
        # And it is known by atoll as its own, and by the other as none of its
        assert (await asyncio.to_thread(shop.standing, name))["ready"]
    finally:
        await asyncio.to_thread(shop.cluster.kubectl.run, "delete", "namespace", "alone", within=180)


async def test_the_state_and_the_lines_of_a_cluster_are_seen_from_here(shop: Shop) -> None:
    answer = shop.standing()
    assert answer["ready"]
    assert answer["url"] == shop.url
    workloads = {each["name"]: each for each in answer["workloads"]}
    assert workloads["users"]["ready"] == workloads["users"]["wanted"] == 3
    assert workloads["postgres"]["kind"] == "StatefulSet"
    # The address that it says is where customers find it, and each pod of a service has lines of its own.
    assert (await settle(answer["url"], ())).wrong == ()
    # Those that a change before this test told to stop have theirs too, until they have left.
    serving = {f"users-{pod.rpartition('-')[2]}" for pod in shop.pods("users")}
    assert len(serving) == 3
    lines = [json.loads(line) for line in shop.atoll("logs", "users", "-e", "test", "--json").splitlines()]
    assert serving <= {each["process"] for each in lines}
    assert any("serves at" in each["line"]["message"] for each in lines)


def test_no_password_is_in_a_config_map_or_in_the_lines_of_a_pod(shop: Shop) -> None:
    secrets = [
        base64.b64decode(value).decode()
        for each in shop.kubectl.list("secrets")
        for value in each.get("data", {}).values()
    ]
    passwords = {each.rpartition("@")[0].rpartition(":")[2] or each for each in secrets}
    assert len(passwords) > 5
    assert all(len(each) > 15 for each in passwords)
    written = json.dumps([*shop.kubectl.list("configmaps"), *shop.kubectl.list("pods")])
    written += shop.atoll("logs", "-e", "test", "--lines", "500", "--json")
    written += shop.atoll("deploy", "-e", "test", "--json") + shop.atoll("render", "kubernetes", "-e", "test")
    assert [each for each in passwords if each in written] == []


@pytest.mark.needs_program("prometheus")
async def test_a_prometheus_beside_the_cluster_reads_every_annotated_pod_by_the_rendered_rules(
    shop: Shop, tmp_path: Path
) -> None:
    shop.atoll("render", "prometheus", "-e", "test", "--scale", "60", "--output", str(tmp_path))
    names = {labels["app"] for each in shop.kubectl.list("pods") if (labels := each["metadata"]["labels"])}
    expected = {f"shop/{name}" for name in names if name in names - NOT_MEASURED and not name.endswith("-prepare")}
    with beside(shop.kubectl, tmp_path, find_program("prometheus")) as prometheus:

        def told() -> str:
            return str(prometheus.values("min by (job) (up)"))

        up = dict.fromkeys(expected, 1.0)
        until(lambda: prometheus.values("min by (job) (up)") == up, "every pod is read", within=60, why=told)
        assert prometheus.values("postgresql_up") == prometheus.values("nats_up") == {"shop/figures": 1.0}
        async with shop.customers(at_least=10.0):
            pass
        # What was promised is measured, and kept.
        until(lambda: bool(prometheus.values("job:slo_bad:ratio_rate1m")), "levels are recorded", within=30)
        bad = prometheus.values('job:slo_bad:ratio_rate1m{slo="availability"} > 0')
        alerts = [each["labels"]["alertname"] for each in prometheus.ask("/api/v1/alerts")["alerts"]]
        assert (bad, [name for name in alerts if name in ("ServiceDown", "EngineDown", "CrashLoop")]) == ({}, [])


async def test_a_service_fails_on_purpose_and_ceases_to_where_the_environment_allows_it(shop: Shop) -> None:
    pods = set(shop.pods("payment"))

    def failed() -> float:
        """Requests that the pods of the service have answered so, by their own figures."""
        place = "/api/v1/namespaces/shop/pods"
        pages = [shop.kubectl.run("get", "--raw", f"{place}/{pod}:8081/proxy/metrics") for pod in pods]
        lines = [line for page in pages for line in page.splitlines() if line.startswith(f"{DURATION}_count")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if 'http_response_status_code="500"' in line)

    until_now = failed()
    told = json.loads(shop.atoll("fault", "payment", "errors=1", "-e", "test", "--yes", "--json"))
    assert set(told["pods"]) == pods
    # So many that each replica of who calls it has enough calls to judge by.
    buying = asyncio.create_task(shop_for(shop.url, seconds=120.0, customers=8))
    try:

        def is_open() -> bool:
            (checkout,) = [each for each in shop.standing()["workloads"] if each["name"] == "checkout"]
            return "payment" in checkout["breakers"]

        await eventually(lambda: asyncio.to_thread(is_open), "an open breaker is told", within=90, every=1.0)
        assert failed() > until_now
    finally:
        buying.cancel()
        shop.atoll("fault", "payment", "off", "-e", "test")
    before = failed()
    # A breaker may still be open for a moment; what reaches the service is answered as ever.
    await shop_for(shop.url, seconds=5.0, customers=2)
    assert failed() == before
