"""The gateway as rendered: what a cluster's Envoy is told of callers and limits."""

import json
import re
from typing import Any

import msgspec
import pytest
import yaml

from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.compose import render_compose, secrets_of
from atoll.kubernetes.names import GATEWAY, Object
from atoll.kubernetes.objects import items, mapping
from atoll.kubernetes.written import Written
from atoll.provision.issuer import LOCAL_ISSUER
from atoll.wire.description import ApiKeysData, Description, GatewayData, IssuerData, RateLimitData
from atoll.wire.secrets import SecretData
from tests.kubernetes.targets import container_of, find, rendered, target_of, variable

FOLLOWED = "certificate.json"
ISSUER = IssuerData("https://login.example", "shop", url="https://login.example:8443/keys")
KEYS = ApiKeysData(SecretData("api-keys", "value"), "x-api-key", {"partner": ("a",)})


@pytest.fixture
def knowing(shop: Description) -> Description:
    """The boutique with tokens, keys and a limit."""
    assert shop.gateway is not None
    gateway = GatewayData(
        shop.gateway.expose, 8080, (ISSUER,), KEYS, rate_limits=(RateLimitData("client", 10, 1, 20),), body_limit=5_000
    )
    return msgspec.structs.replace(shop, gateway=gateway)


def envoy_in(made: list[Object]) -> dict[str, Any]:
    """Envoy's configuration, from the only map that has one."""
    (text,) = [str(data) for each in made for name, data in mapping(each, "data").items() if name == "envoy.json"]
    found: dict[str, Any] = json.loads(text)
    return found


def filters_in(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    listener = config["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return {each["name"]: each["typed_config"] for each in manager["http_filters"]}


def test_the_keys_of_clients_come_by_a_variable_from_their_secret(knowing: Description) -> None:
    made = rendered(target_of(knowing))
    gateway = container_of(find(made, "Deployment", GATEWAY))
    reference = mapping(variable(gateway, "ATOLL_API_KEYS"), "valueFrom", "secretKeyRef")
    assert reference == {"name": "api-keys", "key": "value"}
    checked = filters_in(envoy_in(made))["envoy.filters.http.basic_auth"]
    assert checked["users"] == {"environment_variable": "ATOLL_API_KEYS"}


def test_a_cluster_never_takes_tokens_of_a_laptop(knowing: Description) -> None:
    assert LOCAL_ISSUER not in json.dumps(rendered(target_of(knowing)))
    providers = filters_in(envoy_in(rendered(target_of(knowing))))["envoy.filters.http.jwt_authn"]["providers"]
    assert [each["issuer"] for each in providers.values()] == ["https://login.example"]


def test_the_gateway_may_leave_for_the_issuers_keys_and_for_nothing_else(
    shop: Description, knowing: Description
) -> None:
    policy = find(rendered(target_of(knowing)), "NetworkPolicy", GATEWAY)
    outside = [rule for rule in items(mapping(policy, "spec"), "egress") if "to" not in rule]
    assert [mapping(port)["port"] for rule in outside for port in items(rule, "ports")] == [8443]
    files = msgspec.structs.replace(ISSUER, url="", keys='{"keys": []}')
    assert knowing.gateway is not None
    inside = msgspec.structs.replace(knowing, gateway=msgspec.structs.replace(knowing.gateway, issuers=(files,)))
    policy = find(rendered(target_of(inside)), "NetworkPolicy", GATEWAY)
    assert all("to" in rule for rule in items(mapping(policy, "spec"), "egress"))


def test_each_replica_has_its_share_of_a_rate_and_the_declared_limits(knowing: Description) -> None:
    made = filters_in(envoy_in(rendered(target_of(knowing, gateway={"replicas": 4}))))
    (descriptor,) = made["atoll.limit.client"]["descriptors"]
    assert descriptor["token_bucket"] == {"max_tokens": 5, "tokens_per_fill": 10, "fill_interval": "4s"}
    assert made["atoll.body"]["max_request_bytes"] == 5_000


@pytest.mark.parametrize(
    ("way", "hops"), [({"way_in": "loadbalancer"}, None), ({"way_in": "ingress:public", "hosts": ["a.example"]}, 1)]
)
def test_a_clients_address_is_taken_from_a_proxy_of_the_clusters_own_alone(
    knowing: Description, way: dict[str, object], hops: int | None
) -> None:
    config = envoy_in(rendered(target_of(knowing, gateway=way)))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager.get("xff_num_trusted_hops") == hops


@pytest.mark.parametrize(
    ("way", "until_nobody_comes"),
    [
        ({"way_in": "loadbalancer"}, 30),  # three checks, 10 s apart
        ({"way_in": "nodeport"}, 5),
        ({"way_in": "ingress:public"}, 10),
        ({"way_in": "httproute", "parent": "infra/public"}, 10),
    ],
)
def test_a_gateway_serves_on_until_the_way_in_has_heard_that_it_leaves_and_then_drains(
    shop: Description, way: dict[str, object], until_nobody_comes: int
) -> None:
    found = find(rendered(target_of(shop, gateway=way)), "Deployment", GATEWAY)
    script = str(mapping(container_of(found), "lifecycle", "preStop", "exec")["command"])
    before, drained, after = script.partition("/drain_listeners?graceful&skip_exit")
    assert drained
    leaves, drains = (int(re.findall(r"sleep (\d+)", part)[0]) for part in (before, after))
    assert leaves >= until_nobody_comes
    assert drains >= 10
    assert mapping(found, "spec", "template", "spec")["terminationGracePeriodSeconds"] == leaves + drains + 5


def domains_in(config: dict[str, Any]) -> list[list[list[str]]]:
    """By listener and virtual host."""
    managers = [
        each["filter_chains"][0]["filters"][0]["typed_config"]
        for each in config["static_resources"]["listeners"]
        if each["name"].startswith("gateway")
    ]
    return [[host["domains"] for host in each["route_config"]["virtual_hosts"]] for each in managers]


@pytest.mark.parametrize(
    ("way", "domains"),
    [
        ({"way_in": "loadbalancer"}, [[["a.example"], ["*"]]]),
        ({"way_in": "nodeport"}, [[["a.example"], ["*"]]]),
        ({"way_in": "loadbalancer", "tls": "certificate"}, [[["a.example"], ["*"]]] * 2),
        # Whose controller looks at names by itself, and may ask for health by an address.
        ({"way_in": "ingress:public"}, [[["*"]]]),
        ({"way_in": "httproute", "parent": "infra/public"}, [[["*"]]]),
    ],
)
def test_names_hold_at_envoy_where_it_is_the_first_to_read_them(
    shop: Description, way: dict[str, object], domains: list[object]
) -> None:
    wanted = {**way, "hosts": ["a.example", "a.example"]}
    assert domains_in(envoy_in(rendered(target_of(shop, gateway=wanted)))) == domains


def test_the_certificate_is_followed_by_a_document_beside_envoys_own_in_pods_and_in_compose(shop: Description) -> None:
    target = target_of(shop, gateway={"tls": "certificate"})
    (written,) = [data for each in rendered(target) for name, data in mapping(each, "data").items() if name == FOLLOWED]
    (secret,) = json.loads(str(written))["resources"]
    assert secret["tls_certificate"]["watched_directory"] == {"path": "/etc/tls"}
    assert render_compose(target)[f"{GATEWAY}/{FOLLOWED}"] == written
    (tls,) = [each for each in envoy_in(rendered(target))["static_resources"]["listeners"] if "tls" in each["name"]]
    context = tls["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]
    (asked,) = context["tls_certificate_sds_secret_configs"]
    assert asked["name"] == secret["name"]
    assert asked["sds_config"]["path_config_source"] == {"path": f"/etc/atoll/{FOLLOWED}"}
    assert FOLLOWED not in json.dumps(rendered(target_of(shop)))


@pytest.mark.parametrize(("cpu", "threads"), [("100m", 2), ("2", 2), ("2500m", 3), ("8", 8)])
def test_the_gateway_has_a_thread_for_each_processor_that_it_asks_for(
    shop: Description, cpu: str, threads: int
) -> None:
    container = container_of(find(rendered(target_of(shop, gateway={"cpu": cpu})), "Deployment", GATEWAY))
    arguments = container["args"]
    assert isinstance(arguments, list)
    assert arguments[arguments.index("--concurrency") + 1] == str(threads)


def test_keys_of_clients_can_not_be_made_up_by_a_cluster(knowing: Description) -> None:
    target = target_of(knowing, secrets={"api-keys": "generate"})
    (problem,) = environment_problems(target, Written("environments/production.toml"))
    assert "atoll key" in problem.do


def test_in_compose_the_keys_come_from_the_file_of_secrets(knowing: Description) -> None:
    target = target_of(knowing)
    service = yaml.safe_load(render_compose(target)["compose.yaml"])["services"][GATEWAY]
    assert service["environment"]["ATOLL_API_KEYS"].startswith("${API_KEYS_VALUE")
    assert "API_KEYS_VALUE" in [each.variable for each in secrets_of(target)]
