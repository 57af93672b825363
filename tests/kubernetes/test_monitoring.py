"""How a Prometheus in a cluster finds what runs, and the rules that it is given."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from atoll.engines.alerts import rule_file
from atoll.kubernetes.monitoring import observed, scrape_configuration
from atoll.kubernetes.names import Object, Target
from atoll.kubernetes.objects import items, mapping
from atoll.kubernetes.setup import setup_document
from atoll.wire.description import Description
from tests.kubernetes.targets import container_of, find, rendered, target_of, variable

OPERATOR = {"kind": "operator", "labels": {"release": "prometheus"}}


def watched(made: list[Object]) -> dict[str, tuple[str, str]]:
    """By workload: port and path of its annotations."""
    found: dict[str, tuple[str, str]] = {}
    for each in made:
        notes = mapping(each, "spec", "template", "metadata", "annotations")
        if notes.get("prometheus.io/scrape") == "true":
            name = str(mapping(each, "metadata")["name"])
            found[name] = (str(notes["prometheus.io/port"]), str(notes["prometheus.io/path"]))
    return found


def alerting(target: Target) -> list[dict[str, str]]:
    groups = rule_file(observed(target))["groups"]
    assert isinstance(groups, list)
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_every_page_of_figures_is_annotated_at_the_port_that_has_it(shop: Description) -> None:
    made = rendered(target_of(shop))
    found = watched(made)
    members = {each.name for each in shop.members if each.kind in ("service", "asgi")}
    assert found.keys() == members | {"gateway", "figures"}
    for name, (port, path) in found.items():
        ports = items(container_of(find(made, "Deployment", name)), "ports")
        assert {"name": "admin", "containerPort": int(port)} in ports
        assert path == ("/stats/prometheus" if name == "gateway" else "/metrics")
    assert not [each for each in made if str(each["apiVersion"]).startswith("monitoring.coreos.com")]


def test_the_operator_is_given_what_to_read_and_which_rules_hold(shop: Description) -> None:
    made = rendered(target_of(shop, monitoring=OPERATOR))
    assert watched(made) == {}
    monitor, rule = find(made, "ServiceMonitor", "shop"), find(made, "PrometheusRule", "shop")
    for each in (monitor, rule):
        assert mapping(each, "metadata", "labels")["release"] == "prometheus"
    # Each of its ports is one of a Service that it selects, and each page has exactly one.
    wanted = mapping(monitor, "spec", "selector", "matchLabels")
    ports = [
        (mapping(each, "spec", "selector")["app"], port["name"])
        for each in made
        if each["kind"] == "Service" and wanted.items() <= mapping(each, "metadata", "labels").items()
        for port in items(each, "spec", "ports")
        if port["name"] in {endpoint["port"] for endpoint in items(monitor, "spec", "endpoints")}
    ]
    members = {each.name for each in shop.members if each.kind in ("service", "asgi")}
    assert sorted(ports) == sorted([(name, "admin") for name in members | {"figures"}] + [("gateway", "stats")])
    # The customers' Service has no port for it.
    assert [port["name"] for port in items(find(made, "Service", "gateway"), "spec", "ports")] == ["http"]


@pytest.mark.needs_program("promtool")
def test_the_rules_of_the_operator_are_those_that_promtool_accepts(
    shop: Description, tmp_path: Path, program: Callable[[str], str]
) -> None:
    rule = find(rendered(target_of(shop, monitoring=OPERATOR)), "PrometheusRule", "shop")
    (tmp_path / "rules.yml").write_text(json.dumps(rule["spec"]))
    command = [program("promtool"), "check", "rules", "--lint-fatal", str(tmp_path / "rules.yml")]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert found.returncode == 0, found.stdout + found.stderr
    assert 'namespace=\\"shop\\"' in json.dumps(rule), "pods that end again and again are those of the namespace"


def test_who_asks_postgres_has_a_role_of_its_own_that_may_look_and_no_more(shop: Description) -> None:
    target = target_of(shop)
    document = setup_document(target)
    assert document.watchers == ("figures",)
    assert [(each.secret, each.key) for each in document.databases if each.name == "figures"] == [
        ("figures-database", "url")
    ]
    container = container_of(find(rendered(target), "Deployment", "figures"))
    reference = mapping(variable(container, "DATABASE_URL"), "valueFrom", "secretKeyRef")
    assert reference == {"name": "figures-database", "key": "url"}


def test_where_nobody_reads_figures_nothing_offers_them(shop: Description) -> None:
    target = target_of(shop, monitoring={"kind": "none"})
    made = rendered(target)
    assert watched(made) == {}
    assert not [each for each in made if mapping(each, "metadata")["name"] in {"figures", "gateway-pods"}]
    assert setup_document(target).watchers == ()


def test_engines_elsewhere_are_not_asked(shop: Description) -> None:
    elsewhere = {"postgres": {"secret": "dsn"}, "nats": {"address": "nats://broker:4222", "secret": "broker"}}
    made = rendered(target_of(shop, engines=elsewhere))
    assert "figures" not in watched(made)
    assert "catalog" in watched(made)
    names = {each["alert"]: each for each in alerting(target_of(shop, engines=elsewhere))}
    assert not names.keys() & {"EngineDown", "FiguresDown"}, "nothing could tell them"
    assert "ServiceDown" in names
    assert {each["alert"] for each in alerting(target_of(shop))} > {"EngineDown", "FiguresDown"}
    unread = target_of(shop, monitoring={"kind": "none"})
    assert not {each["alert"] for each in alerting(unread)} & {"EngineDown", "FiguresDown"}


def test_a_prometheus_labels_pods_as_the_rules_expect(shop: Description) -> None:
    meta = "__meta_kubernetes_"
    target = target_of(shop, cluster={"namespace": "live"}, monitoring=OPERATOR)
    (job,) = items(scrape_configuration(target), "scrape_configs")
    assert items(job, "kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["live"]}}]
    rules = {rule.get("target_label"): rule["source_labels"] for rule in items(job, "relabel_configs")}
    assert rules.keys() >= {"job", "instance", "__address__", "__metrics_path__"}
    assert rules["namespace"] == [f"{meta}namespace"]
    for endpoint in items(find(rendered(target), "ServiceMonitor", "shop"), "spec", "endpoints"):
        made = {str(each["targetLabel"]): each["sourceLabels"] for each in items(endpoint, "relabelings")}
        assert made["namespace"] == [f"{meta}namespace"]
        assert made.keys() == {"namespace", "job", "instance"}


def test_two_environments_may_be_read_by_one_prometheus(shop: Description) -> None:
    targets = [target_of(shop), target_of(shop, cluster={"namespace": "shop-staging"})]
    jobs = {items(scrape_configuration(target), "scrape_configs")[0]["job_name"] for target in targets}
    assert len(jobs) == 2, "names of what is read must not clash"
    recorded = [
        (rule["record"], json.dumps(rule["labels"], sort_keys=True))
        for target in targets
        for group in cast("list[dict[str, list[dict[str, object]]]]", rule_file(observed(target))["groups"])
        for rule in group["rules"]
        if "record" in rule
    ]
    assert recorded
    assert len(set(recorded)) == len(recorded)
