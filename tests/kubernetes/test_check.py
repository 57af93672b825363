"""What is wrong in an environment is told all at once, each with its entry and what to do."""

from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.engines import nats_files
from atoll.kubernetes.entries import RELATIONS, RULES
from atoll.kubernetes.environment import Environment
from atoll.kubernetes.objects import items, mapping
from atoll.kubernetes.written import Written
from atoll.wire.description import Description
from tests.kubernetes.targets import container_of, find, rendered, target_of

FILE = Written("environments/production.toml")


def entries(shop: Description, **environment: object) -> list[str]:
    return [each.sentence.split()[0] for each in environment_problems(target_of(shop, **environment), FILE)]


def test_the_shop_needs_no_correction(shop: Description) -> None:
    assert entries(shop) == []


def test_a_limit_that_is_given_is_no_lower_than_what_is_asked_for(shop: Description) -> None:
    assert entries(
        shop,
        gateway={"memory": "1Gi", "memory_limit": "600Mi"},
        defaults={"memory_limit": "100Mi"},
        services={"cart": {"memory": "600Mi", "memory_limit": "500Mi"}, "users": {"memory_limit": "64Mi"}},
    ) == ["defaults.memory_limit", "gateway.memory_limit", "services.cart.memory_limit", "services.users.memory_limit"]


def test_a_limit_that_is_not_given_follows_what_is_asked_for(shop: Description) -> None:
    wanted = {"gateway": {"memory": "1Gi"}, "services": {"cart": {"memory": "600Mi"}}}
    assert entries(shop, **wanted) == []
    made = rendered(target_of(shop, **wanted))
    for name, memory in (("gateway", "1Gi"), ("cart", "600Mi"), ("users", "512Mi")):
        container = container_of(find(made, "Deployment", name))
        assert mapping(container, "resources", "limits") == {"memory": memory}


@pytest.mark.parametrize(
    ("environment", "entry"),
    [
        ({"gateway": {"node_port": 30080}}, "gateway.node_port"),
        ({"gateway": {"tls": "My Certificate"}}, "gateway.tls"),
        ({"gateway": {"tls": "certificate", "tls_node_port": 30443}}, "gateway.tls_node_port"),
        ({"gateway": {"way_in": "nodeport", "tls_node_port": 30443}}, "gateway.tls_node_port"),
        ({"gateway": {"way_in": "nodeport", "tls": "certificate", "node_port": 30080}}, "gateway.tls_node_port"),
        (
            {"gateway": {"way_in": "nodeport", "tls": "certificate", "node_port": 30080, "tls_node_port": 30080}},
            "gateway.tls_node_port",
        ),
        ({"gateway": {"way_in": "ingress:Not A Class"}}, "gateway.way_in"),
        ({"gateway": {"way_in": "httproute", "parent": "a/b/c"}}, "gateway.parent"),
        ({"images": {"pull": "Sometimes"}}, "images.pull"),
        ({"images": {"pull_secret": "pull_secret"}}, "images.pull_secret"),
        ({"engines": {"nats": {"address": "broker:4222", "secret": "broker"}}}, "engines.nats.address"),
        ({"engines": {"nats": {"address": "nats://broker:many", "secret": "broker"}}}, "engines.nats.address"),
        ({"engines": {"nats": {"storage_class": "Fast"}}}, "engines.nats.storage_class"),
        ({"engines": {"postgres": {"secret": "/dsn"}}}, "engines.postgres.secret"),
        ({"engines": {"postgres": {"port": 70000}}}, "engines.postgres.port"),
        ({"cluster": {"api_port": -1}}, "cluster.api_port"),
        ({"telemetry": {"endpoint": "collector:4318"}}, "telemetry.endpoint"),
        ({"secrets": {"session-key": "Of The Vault"}}, "secrets.session-key"),
        ({"gateway": {"annotations": {"not one": "x"}}}, "gateway.annotations"),
        ({"gateway": {"load_balancer_class": "a class"}}, "gateway.load_balancer_class"),
        ({"gateway": {"way_in": "nodeport", "load_balancer_class": "a/b"}}, "gateway.load_balancer_class"),
        ({"gateway": {"source_ranges": ["10.0.0.1/8"]}}, "gateway.source_ranges"),
        ({"gateway": {"source_ranges": ["10.0.0.1"]}}, "gateway.source_ranges"),
        ({"gateway": {"way_in": "ingress:a", "source_ranges": ["fd00::/8"]}}, "gateway.source_ranges"),
        ({"gateway": {"cpu": "2", "cpu_limit": "1500m"}}, "gateway.cpu_limit"),
        ({"engines": {"nats": {"cpu_limit": "much"}}}, "engines.nats.cpu_limit"),
        ({"defaults": {"scale_at": ""}}, "defaults.scale_at"),
        ({"services": {"catalog": {"scale_at": "0"}}}, "services.catalog.scale_at"),
        ({"services": {"catalog": {"cpu_limit": "520m"}}}, "services.catalog.scale_at"),
        ({"services": {"users": {"environment": {"DATABASE_URL": "x"}}}}, "services.users.environment.DATABASE_URL"),
        ({"services": {"cart": {"memory": "100m"}}}, "services.cart.memory"),
        ({"services": {"cart": {"cpu": "1Gi"}}}, "services.cart.cpu"),
        ({"gateway": {"memory": ""}}, "gateway.memory"),
        ({"services": {"email": {"volumes": {"/mails": "1Gi"}, "replicas": 2}}}, "services.email.volumes"),
        ({"services": {"email": {"volumes": {"/mails": "0Gi"}}}}, "services.email.volumes./mails"),
        ({"services": {"users": {"replicas": 0}}}, "services.users.replicas"),
        ({"services": {"users": {"replicas": [0, 2]}}}, "services.users.replicas"),
        ({"services": {"users": {"replicas": [3, 2]}}}, "services.users.replicas"),
        ({"services": {"users": {"environment": {"A B": "x"}}}}, "services.users.environment"),
        ({"images": {"registry": "https://registry.example.com/shop"}}, "images.registry"),
        ({"images": {"registry": "registry.example.com/the shop"}}, "images.registry"),
        ({"images": {"registry": "registry.example.com/Shop"}}, "images.registry"),
        ({"images": {"base": ""}}, "images.base"),
        ({"images": {"base": "Python 3.13"}}, "images.base"),
        ({"images": {"node": "node 22"}}, "images.node"),
        ({"images": {"python": "abc"}}, "images.python"),
        ({"images": {"python": "3.9"}}, "images.python"),
        ({"telemetry": {"kept_days": -1.0}}, "telemetry.kept_days"),
        ({"telemetry": {"kept_days": float("nan")}}, "telemetry.kept_days"),
        ({"telemetry": {"kept_days": float("inf")}}, "telemetry.kept_days"),
        ({"telemetry": {"endpoint": "http://elsewhere:4318", "collector": True}}, "telemetry.endpoint"),
        ({"telemetry": {"secret": "headers"}}, "telemetry.secret"),
        ({"telemetry": {"storage": "0Gi"}}, "telemetry.storage"),
        ({"engines": {"nats": {"secret": "broker"}}}, "engines.nats.secret"),
        ({"engines": {"nats": {"key": "a b", "address": "nats://broker", "secret": "x"}}}, "engines.nats.key"),
        ({"gateway": {"parent": "infra/public"}}, "gateway.parent"),
        ({"cluster": {"namespace": "default"}}, "cluster.namespace"),
        ({"cluster": {"namespace": "kube-system"}}, "cluster.namespace"),
        ({"cluster": {"dns": ["kube-dns"]}}, "cluster.dns"),
        ({"cluster": {"dns": ["169.254.20.300"]}}, "cluster.dns"),
        ({"cluster": {"dns": ["169.254.20.10:0"]}}, "cluster.dns"),
        ({"cluster": {"dns": []}}, "cluster.dns"),
        ({"cluster": {"dns": ["*/k8s-app=kube-dns"]}}, "cluster.dns"),
        ({"defaults": {"cpu": "0"}}, "defaults.cpu"),
        ({"defaults": {"cpu": "0.0m"}}, "defaults.cpu"),
        ({"monitoring": {"labels": {"a b": "x"}}}, "monitoring.labels"),
        ({"monitoring": {"labels": {"team": "web shop"}}}, "monitoring.labels.team"),
        ({"monitoring": {"page": "pager"}}, "monitoring.page"),
        ({"monitoring": {"from": ["prometheus"]}}, "monitoring.from"),
        ({"monitoring": {"from": ["monitoring/app=prometheus:9090"]}}, "monitoring.from"),
        ({"monitoring": {"from": ["10.0.0.300"]}}, "monitoring.from"),
        ({"monitoring": {"from": []}}, "monitoring.from"),
        ({"services": {"email": {"volumes": {"/mails": "1Gi"}, "replicas": [1, 3]}}}, "services.email.volumes"),
    ],
)
def test_what_the_cluster_would_refuse_is_told_before(
    shop: Description, environment: dict[str, object], entry: str
) -> None:
    assert entries(shop, **environment) == [entry]


def test_topics_have_room_on_the_volume_of_the_broker_or_are_told_how_much_they_need(shop: Description) -> None:
    small = {"engines": {"nats": {"storage": "512Mi"}}}
    (problem,) = environment_problems(target_of(shop, **small), FILE)
    assert problem.sentence == (
        "engines.nats.storage is 512Mi, of which streams may take 409Mi; "
        "all topics (3) and dead letters may take 448Mi."
    )
    assert problem.do.startswith('write "1Gi", or lower kept_bytes of a Topic: order-placed has the most, 128Mi')
    many = replace(shop, topics=tuple(replace(shop.topics[0], name=f"topic-{number}") for number in range(64)))
    assert entries(many) == ["engines.nats.storage"]
    assert entries(many, engines={"nats": {"storage": "11Gi"}}) == []
    elsewhere = {"address": "nats://broker.example.com", "secret": "broker", "storage": "1Gi"}
    assert entries(many, engines={"nats": elsewhere}) == []


def test_the_broker_takes_no_more_than_its_volume_has_room_for(shop: Description) -> None:
    for storage, room in (("1Gi", 858_993_459), ("20Gi", 17_179_869_184)):
        written = nats_files(target_of(shop, engines={"nats": {"storage": storage}}))["nats.conf"]
        assert f'"max_file_store": {room}\n' in written


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/tmp", "volume for passing files at /tmp"),
        ("/etc/atoll", "documents are at /etc/atoll"),
        ("/etc/atoll/mails", "documents are at /etc/atoll"),
        ("/etc", "documents are at /etc/atoll"),
        ("/app", "the code is at /app"),
        ("/proc/mails", "the kernel's files are at /proc"),
        ("mails", "no absolute path"),
        ("/", "no absolute path"),
        ("/mails/", "no absolute path"),
        ("/mails/../tmp", "no absolute path"),
    ],
)
def test_a_volume_that_would_hide_what_is_there_is_refused_with_what_that_is(
    shop: Description, path: str, says: str
) -> None:
    target = target_of(shop, services={"email": {"volumes": {path: "1Gi"}}})
    (problem,) = environment_problems(target, FILE)
    assert says in problem.sentence


def test_what_a_cluster_takes_is_accepted(shop: Description) -> None:
    wanted: dict[str, object] = {
        "cluster": {"namespace": "kubernetes-shop"},
        "images": {
            "registry": "10.0.0.1:5000/team_a/shop-2/",
            "base": f"registry.example.com:5000/python:3.13@sha256:{'0' * 64}",
            "python": "3.14",
        },
        "gateway": {"way_in": "ingress:nginx", "hosts": ["*.example.com"], "tls": "certificate", "cpu": "0.5"},
        "telemetry": {"endpoint": "https://otlp.example.com", "secret": "headers", "kept_days": 0.5},
        "monitoring": {
            "kind": "operator",
            "from": ["*/app=prometheus", "[fd00::/64]"],
            "labels": {"example.com/team": "web", "release": ""},
        },
        "services": {"email": {"volumes": {"/app/.atoll": "1.5Gi"}}, "users": {"replicas": [1, 1]}},
        "secrets": {},
    }
    assert entries(shop, **wanted) == []


def test_every_rule_is_of_an_entry_that_there_is() -> None:
    for entry in {each for rule in RULES for each in rule.entries} | {each.entry for each in RELATIONS}:
        kind: object = Environment
        for name in entry.split("."):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                (kind,) = [each.type for each in msgspec.structs.fields(kind) if each.encode_name == name]
            else:
                assert name in {"*", "?"}
                (*_, kind) = [each for each in get_args(kind) if each is not Ellipsis]


def test_files_that_go_with_the_pod_may_have_many_replicas(shop: Description) -> None:
    assert entries(shop, services={"email": {"volumes": {"/mails": ""}, "replicas": 2}}) == []


def ports_out(shop: Description, name: str, **environment: object) -> list[object]:
    policy = find(rendered(target_of(shop, **environment)), "NetworkPolicy", name)
    free = [rule for rule in items(policy, "spec", "egress") if "to" not in rule]
    return [each["port"] for rule in free for each in items(rule, "ports")]


def test_the_setup_may_leave_for_the_api_server_where_it_is(shop: Description) -> None:
    assert ports_out(shop, "setup") == [443, 6443]
    assert ports_out(shop, "setup", cluster={"api_port": 16443}) == [443, 6443, 16443]


def test_who_has_a_database_elsewhere_may_leave_for_its_port_alone(shop: Description) -> None:
    elsewhere = {"secret": "admin-dsn", "port": 6432}
    assert ports_out(shop, "users", engines={"postgres": elsewhere}) == [6432]
    assert ports_out(shop, "setup", engines={"postgres": elsewhere}) == [443, 6443, 6432]
