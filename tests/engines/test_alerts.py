"""The rules of a system, judged by Prometheus's own tools."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from atoll.engines.alertmanager import Receivers, routing
from atoll.engines.alerts import alerts, rule_file
from atoll.engines.observed import Cluster, Observed
from atoll.engines.pace import Pace, duration
from atoll.engines.prometheus import Server, configuration
from atoll.engines.rule_tests import rule_tests
from atoll.engines.service_levels import BURNS, levels
from atoll.wire.description import (
    CallData,
    ConsumerData,
    ContractData,
    Description,
    GatewayData,
    MemberData,
    OperationData,
    PostgresData,
    SloData,
)

Program = Callable[[str], str]


def operation(name: str, path: str, *, streams: bool) -> OperationData:
    return OperationData(name, "GET", path, 200, streams, True, False, (), None, None, (), "")


CATALOG = ContractData(
    "Catalog",
    "catalog:Catalog",
    "",
    (operation("product", "/products/{id}", streams=False), operation("feed", "/products/{id}/feed", streams=True)),
)
SHOP = Description(
    name="shop",
    folder="/shop",
    import_path=("/shop",),
    members=(
        MemberData(
            name="catalog",
            kind="service",
            contracts=("catalog:Catalog",),
            database=PostgresData("", 10),
            publishes=("priced",),
            slo=SloData(0.9995, 0.99, 0.2),
        ),
        MemberData(name="checkout", kind="service", calls=(CallData("catalog", "catalog:Catalog", "catalog"),)),
        MemberData(name="email", kind="service", consumes=(ConsumerData("priced", "tell", False, False),)),
        # Promises shares that are rounded, when they are told, at an exact half.
        MemberData(name="shipping", kind="service", slo=SloData(0.98775, 0.93755, 0.2)),
        # Promises so little that the fastest burn of its budget can't be reached.
        MemberData(name="ads", kind="asgi", slo=SloData(0.9, 0.5, 1.0)),
        MemberData(name="recommendation", kind="process"),
    ),
    contracts=(CATALOG,),
    gateway=GatewayData(("catalog",), 8080),
)
OBSERVED = [
    Observed(SHOP, Pace(60.0), ("postgres", "nats")),
    Observed(SHOP, Pace(1.0), ("postgres", "nats"), Cluster("shop", "production", dashboard=True)),
]


def promtool(program: Program, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("promtool"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=50)


def written(observed: Observed, folder: Path) -> Path:
    (folder / "rules.yml").write_text(json.dumps(rule_file(observed), indent=1))
    (folder / "rules.test.yml").write_text(json.dumps(rule_tests(observed, "rules.yml"), indent=1))
    return folder


@pytest.mark.needs_program("promtool")
@pytest.mark.parametrize("observed", OBSERVED, ids=["machine", "cluster"])
def test_the_rules_are_valid_and_their_tests_pass(observed: Observed, tmp_path: Path, program: Program) -> None:
    folder = written(observed, tmp_path)
    checked = promtool(program, folder, "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool(program, folder, "test", "rules", "rules.test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.needs_program("promtool")
def test_a_promise_of_eight_nines_is_tested_too(tmp_path: Path, program: Program) -> None:
    member = MemberData(name="users", kind="asgi", slo=SloData(0.99999999, 0.999999, 0.2))
    folder = written(
        Observed(Description(name="shop", folder="/shop", import_path=("/shop",), members=(member,)), Pace(1.0), ()),
        tmp_path,
    )
    tested = promtool(program, folder, "test", "rules", "rules.test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.needs_program("promtool")
@pytest.mark.parametrize("observed", OBSERVED, ids=["machine", "cluster"])
def test_every_alert_has_a_test_that_fails_without_it(observed: Observed, tmp_path: Path, program: Program) -> None:
    folder = written(observed, tmp_path)
    whole = rule_file(observed)
    names: set[str] = set()
    groups = whole["groups"]
    assert isinstance(groups, list)
    for group in groups:
        names |= {rule["alert"] for rule in group["rules"] if "alert" in rule}
        # An alert that never fires is found by the test of its reason.
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = "vector(1) > 2"
    (folder / "rules.yml").write_text(json.dumps(whole))
    tested = promtool(program, folder, "test", "rules", "rules.test.yml")
    assert tested.returncode == 1
    said = tested.stdout + tested.stderr
    assert names == {
        "ErrorBudgetBurn",
        "ServiceDown",
        "EngineDown",
        "CrashLoop",
        "BreakerOpen",
        "ConsumerLag",
        "DeadLetters",
        "OutboxStuck",
        "EventsAtRisk",
        "EventsLost",
        # On one machine it is the supervisor that tells them.
        *(["FiguresDown"] if observed.cluster else []),
    }
    assert all(f"alertname: {name}" in said for name in names), said


@pytest.mark.needs_program("promtool")
def test_an_environment_that_is_dead_is_told_while_another_of_its_name_lives(tmp_path: Path, program: Program) -> None:
    # Given one Prometheus with the rules of both
    for name, namespace in (("production", "shop"), ("staging", "shop-staging")):
        observed = Observed(SHOP, Pace(1.0), ("postgres", "nats"), Cluster(namespace, name))
        (tmp_path / f"{name}.yml").write_text(json.dumps(rule_file(observed)))
    up = {
        f'up{{job="shop/{name}",namespace="{namespace}",instance="1"}}': f"{1 if namespace == 'shop-staging' else 0}x20"
        for name in ("catalog", "checkout", "email", "shipping", "ads", "gateway", "figures")
        for namespace in ("shop", "shop-staging")
    }
    labels = {"severity": "page", "system": "shop", "namespace": "shop", "service": "catalog"}
    texts = {"summary": "catalog is down: no process of it answers", "description": "See `atoll status -e production`."}
    others = [
        {
            "exp_labels": {**labels, "service": name},
            "exp_annotations": {**texts, "summary": texts["summary"].replace("catalog", name)},
        }
        for name in ("catalog", "checkout", "email", "shipping", "ads", "gateway")
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in up.items()],
        # Then production alone is dead
        "alert_rule_test": [{"eval_time": "10m", "alertname": "ServiceDown", "exp_alerts": others}],
    }
    document = {"rule_files": ["production.yml", "staging.yml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "both.test.yml").write_text(json.dumps(document))
    tested = promtool(program, tmp_path, "test", "rules", "both.test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.needs_program("promtool")
def test_rules_that_forget_where_they_are_fail_their_tests(tmp_path: Path, program: Program) -> None:
    folder = written(OBSERVED[1], tmp_path)
    whole = rule_file(OBSERVED[1])
    groups = whole["groups"]
    assert isinstance(groups, list)
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in rules:
        assert 'namespace="shop"' in rule["expr"], rule
        assert rule["labels"]["namespace"] == "shop"
        rule["expr"] = re.sub(r',?namespace="shop"', "", rule["expr"])
    (folder / "rules.yml").write_text(json.dumps(whole))
    said = promtool(program, folder, "test", "rules", "rules.test.yml")
    failed = {
        each for rule in rules if (each := rule.get("alert")) and f"alertname: {each}" in said.stdout + said.stderr
    }
    assert failed == {rule["alert"] for rule in rules if "alert" in rule}


def test_an_alert_of_a_cluster_names_commands_that_look_at_the_cluster() -> None:
    def told(observed: Observed) -> str:
        return " ".join(
            rule["annotations"]["description"]
            for group in cast("list[dict[str, list[dict[str, dict[str, str]]]]]", rule_file(observed)["groups"])
            for rule in group["rules"]
            if "alert" in rule
        )

    machine, cluster = OBSERVED
    bare = replace(cluster, cluster=Cluster("shop-staging", "staging"))
    commands = {
        name: set(re.findall(r"`(.+?)`", told(each)))
        for name, each in zip("mcb", (machine, cluster, bare), strict=True)
    }
    assert commands["m"] == {
        *("atoll status", "atoll traces", "atoll logs", "atoll logs catalog", "atoll logs shipping", "atoll logs ads"),
        *("atoll events dead", "atoll events redrive"),
    }
    assert commands["c"] == {
        *("atoll status -e production", "atoll dashboard -e production", "atoll logs -e production"),
        *(f"atoll logs -e production {name}" for name in ("catalog", "shipping", "ads")),
        "kubectl -n shop logs --previous {{ or $labels.pod $labels.instance }}",
    }
    # Without a dashboard nothing there knows of traces and dead letters; what would is said.
    assert commands["b"] == {
        *("atoll status -e staging", "atoll logs -e staging", "atoll logs -e staging catalog"),
        *("atoll logs -e staging shipping", "atoll logs -e staging ads"),
        *("atoll deploy -e staging --with-dashboard", "atoll dashboard -e staging"),
        "kubectl -n shop-staging logs --previous {{ or $labels.pod $labels.instance }}",
    }


def test_an_engine_that_nobody_asks_is_not_said_to_answer_or_not() -> None:
    def names(observed: Observed) -> list[tuple[str, str]]:
        down = ("EngineDown", "FiguresDown")
        return [(each.name, each.service) for each in alerts(observed) if each.name in down]

    machine, cluster = OBSERVED
    assert names(machine) == [("EngineDown", "postgres"), ("EngineDown", "nats")]
    assert names(cluster) == [*names(machine), ("FiguresDown", "figures")]
    assert names(replace(cluster, engines=("nats",))) == [("EngineDown", "nats"), ("FiguresDown", "figures")]
    assert names(replace(cluster, engines=())) == names(replace(machine, engines=())) == []


def test_a_promise_of_latency_leaves_streams_out_and_a_small_one_what_it_cannot_reach() -> None:
    catalog, _, _, _, ads, _ = SHOP.members
    availability, latency = levels(OBSERVED[0], catalog)
    assert latency.ignored == ("/products/{id}/feed",)
    assert (availability.promise, latency.promise) == (
        "99.95 % answered without an error",
        "99 % answered within 0.2 s",
    )
    assert availability.burns == BURNS
    assert [[burn.factor for burn in level.burns] for level in levels(OBSERVED[0], ads)] == [[6, 3, 1], [1]]


@pytest.mark.needs_program("promtool", "amtool")
def test_the_configurations_are_valid(tmp_path: Path, program: Program) -> None:
    folder = written(OBSERVED[0], tmp_path)
    server = Server(9090, "127.0.0.1:9093")
    (folder / "prometheus.yml").write_text(json.dumps(configuration(server, Pace(60.0), folder)))
    checked = promtool(program, folder, "check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for receivers in (Receivers(), Receivers("http://127.0.0.1:1/page", "http://127.0.0.1:1/ticket")):
        (folder / "alertmanager.yml").write_text(json.dumps(routing(receivers, Pace(60.0))))
        command = [program("amtool"), "check-config", "alertmanager.yml"]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=20)
        assert found.returncode == 0, found.stdout + found.stderr


def test_durations_are_written_as_prometheus_reads_them() -> None:
    assert [duration(each) for each in (0.0, 0.25, 1.5, 5, 300, 3600, 5400, 86_400, 259_200)] == [
        "1ms",
        "250ms",
        "1500ms",
        "5s",
        "5m",
        "1h",
        "90m",
        "1d",
        "3d",
    ]
    assert (Pace(60).window(3600), Pace(60).held(60), Pace(1).held(60), Pace(1).measured) == ("1m", "5s", "75s", 15.0)
