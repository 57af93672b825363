"""The collector in a cluster, and a collector elsewhere."""

import json
import re
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import msgspec
import pytest

from atoll.errors import AtollError
from atoll.kubernetes.collector import collection
from atoll.kubernetes.lock import Locked
from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import items, mapping
from atoll.kubernetes.pins import Pins
from atoll.kubernetes.project import Lock, images_of
from atoll.kubernetes.sources import Sources
from atoll.model.launch import BrokerTo, Collection, Launch
from atoll.model.references import FromEnvironment
from atoll.wire.description import Description
from tests.kubernetes.conftest import SHOP
from tests.kubernetes.targets import container_of, find, pod_of, rendered, target_of, variable

HERE = {"telemetry": {"collector": True, "storage": "5Gi", "kept_days": 2}}
ELSEWHERE = {"telemetry": {"endpoint": "http://otel.monitoring:4318", "secret": "otlp"}}


def launch_of(made: list[Object], service: str) -> Launch:
    (found,) = [
        each
        for each in made
        if each["kind"] == "ConfigMap"
        and re.fullmatch(rf"{service}-[0-9a-f]{{10}}", str(mapping(each, "metadata")["name"]))
    ]
    return msgspec.json.decode(str(mapping(found, "data")["launch.json"]), type=Launch)


def gateway_collector(made: list[Object]) -> list[Object]:
    (found,) = [
        each
        for each in made
        if each["kind"] == "ConfigMap" and str(mapping(each, "metadata")["name"]).startswith("gateway-")
    ]
    config = json.loads(str(mapping(found, "data")["envoy.json"]))
    (cluster,) = [each for each in config["static_resources"]["clusters"] if each["name"] == "atoll.collector"]
    endpoints: list[Object] = cluster["load_assignment"]["endpoints"]
    return endpoints


def test_without_being_asked_for_there_is_none(shop: Description) -> None:
    made = rendered(target_of(shop))
    assert not [each for each in made if mapping(each, "metadata")["name"] == "collector"]
    assert launch_of(made, "users").telemetry.endpoint == ""
    assert gateway_collector(made) == []


@pytest.mark.parametrize("version", ["1.35", "1.37"])
def test_every_object_of_it_is_valid(shop: Description, version: str) -> None:
    before = rendered(target_of(shop))
    new = [each for each in rendered(target_of(shop, **HERE)) if each not in before]
    assert {"Deployment", "PersistentVolumeClaim", "Role", "RoleBinding", "Service"} <= {each["kind"] for each in new}
    for each in new:
        kubernetes_validate.validate(each, version, strict=True)


def test_it_has_a_volume_and_may_look_at_pods_and_read_their_lines_and_nothing_else(shop: Description) -> None:
    made = rendered(target_of(shop, **HERE))
    deployment = find(made, "Deployment", "collector")
    assert pod_of(deployment)["automountServiceAccountToken"] is True
    assert mapping(deployment, "spec", "strategy") == {"type": "Recreate"}
    assert find(made, "Role", "collector")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
    claim = find(made, "PersistentVolumeClaim", "collector")
    assert mapping(claim, "spec", "resources", "requests") == {"storage": "5Gi"}
    (configuration,) = [each for each in made if "collection.json" in mapping(each, "data")]
    document = msgspec.json.decode(str(mapping(configuration, "data")["collection.json"]), type=Collection)
    assert (document.namespace, document.kept_seconds) == ("shop", 2 * 86_400)
    assert document.kept_bytes == int(0.8 * 5 * 2**30)
    assert "python" in container_of(deployment)["command"]  # type: ignore[operator]


def test_everybody_sends_to_it_and_keeps_log_lines_for_it_to_read(shop: Description) -> None:
    made = rendered(target_of(shop, **HERE))
    telemetry = launch_of(made, "users").telemetry
    assert (telemetry.endpoint, telemetry.sends_logs, telemetry.headers) == ("http://collector:4318", False, None)
    node = container_of(find(made, "Deployment", "recommendation"))
    assert variable(node, "OTEL_EXPORTER_OTLP_ENDPOINT")["value"] == "http://collector:4318"
    address = items(gateway_collector(made)[0], "lb_endpoints")[0]
    assert mapping(address, "endpoint", "address", "socket_address") == {"address": "collector", "port_value": 4318}
    policy = mapping(find(made, "NetworkPolicy", "collector"), "spec")
    senders = {
        str(mapping(peer, "podSelector", "matchLabels")["app"])
        for rule in items(policy, "ingress")
        for peer in items(rule, "from")
    }
    assert {"users", "gateway", "recommendation"} <= senders
    assert "setup" not in senders
    # The API server is no pod.
    assert {"ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]} in items(policy, "egress")


def test_a_collector_elsewhere_gets_log_lines_too_with_headers_from_a_secret(shop: Description) -> None:
    made = rendered(target_of(shop, **ELSEWHERE))
    telemetry = launch_of(made, "users").telemetry
    assert (telemetry.endpoint, telemetry.sends_logs) == ("http://otel.monitoring:4318", True)
    assert telemetry.headers == FromEnvironment("OTEL_EXPORTER_OTLP_HEADERS")
    container = container_of(find(made, "Deployment", "users"))
    assert variable(container, "OTEL_EXPORTER_OTLP_HEADERS")["valueFrom"] == {
        "secretKeyRef": {"name": "otlp", "key": "headers"}
    }
    egress = items(mapping(find(made, "NetworkPolicy", "users"), "spec"), "egress")
    assert {"ports": [{"protocol": "TCP", "port": 4318}]} in egress
    assert not [each for each in made if mapping(each, "metadata")["name"] == "collector"]


def test_the_dashboard_listens_where_only_a_forwarded_port_gets_and_knows_the_declaration(shop: Description) -> None:
    target = target_of(shop, telemetry={"collector": True, "dashboard": True})
    made = rendered(target)
    container = container_of(find(made, "Deployment", "collector"))
    assert container["command"] == ["python", "-m", "atoll.dashboard"]
    assert "8090" not in json.dumps([each for each in made if each["kind"] in ("Service", "NetworkPolicy")])
    document = msgspec.json.decode(collection(target), type=Collection)
    assert document.dashboard is not None
    assert (document.dashboard.listen, document.dashboard.state) == ("127.0.0.1:8090", "")
    told = msgspec.json.decode(document.dashboard.description, type=Description)
    assert [each.name for each in told.members] == [each.name for each in shop.members]
    assert told.topics == shop.topics
    # What is rendered is the same on every machine.
    assert shop.folder not in collection(target)


def test_its_image_has_the_packages_of_the_lock_or_says_what_is_missing(shop: Description) -> None:
    target = target_of(shop, **HERE)
    names = ("atoll", "starlette", "uvicorn")
    packages = [Locked(name=name, version="1.0", hashes=("sha256:" + "0" * 64,)) for name in names]
    found = images_of(target, Lock("requirements.txt", tuple(packages)), Pins(Path("none")), Sources(SHOP))
    assert {"setup", "collector"} <= {each.name for each in found}
    with pytest.raises(AtollError, match="the collector needs uvicorn"):
        images_of(target, Lock("requirements.txt", tuple(packages[:2])), Pins(Path("none")), Sources(SHOP))


def test_the_dashboard_looks_at_events_as_a_user_of_its_own(shop: Description) -> None:
    made = rendered(target_of(shop, telemetry={"collector": True, "dashboard": True}))
    secret = {"secretKeyRef": {"name": "nats-collector", "key": "password"}}
    assert variable(container_of(find(made, "Deployment", "collector")), "NATS_PASSWORD")["valueFrom"] == secret
    (document,) = [
        msgspec.json.decode(str(mapping(each, "data")["collection.json"]), type=Collection)
        for each in made
        if "collection.json" in mapping(each, "data")
    ]
    assert document.dashboard is not None
    assert document.dashboard.broker == BrokerTo("nats://nats:4222", "collector", FromEnvironment("NATS_PASSWORD"))
    # The broker knows it, the Job makes its password, and it is let through.
    (configuration,) = [
        str(mapping(each, "data")["nats.conf"]) for each in made if "nats.conf" in mapping(each, "data")
    ]
    assert '"user": "collector"' in configuration
    (setup,) = [str(mapping(each, "data")["setup.json"]) for each in made if "setup.json" in mapping(each, "data")]
    assert '"nats-collector"' in setup
    assert "nats" in json.dumps(mapping(find(made, "NetworkPolicy", "collector"), "spec")["egress"])
    # Without pages there is no such user.
    assert "nats-collector" not in json.dumps(rendered(target_of(shop, telemetry={"collector": True})))


def test_the_dashboard_is_told_where_alerts_are_and_let_through_to_them(shop: Description) -> None:
    there = {"alertmanager": "http://192.0.2.7:9093"}
    place = {"namespace": "live"}
    made = rendered(target_of(shop, telemetry={"collector": True, "dashboard": True}, monitoring=there, cluster=place))
    (document,) = [
        str(mapping(each, "data")["collection.json"]) for each in made if "collection.json" in mapping(each, "data")
    ]
    told = msgspec.json.decode(document, type=Collection).dashboard
    assert told is not None
    assert (told.alertmanager, told.namespace) == ("http://192.0.2.7:9093", "live")
    egress = mapping(find(made, "NetworkPolicy", "collector"), "spec")["egress"]
    assert {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"protocol": "TCP", "port": 9093}]} in egress  # type: ignore[operator]
