"""The gateway's routes and endpoints, from what is declared and from what serves."""

from collections.abc import Mapping
from pathlib import PurePath

from atoll.engines import envoy
from atoll.engines.access import Access, ClientKeys, Issuer
from atoll.engines.declared import exposed, issuers_of, limits_of, policy_of, routes_of
from atoll.provision.issuer import LOCAL_ISSUER, audiences
from atoll.supervisor.plan import HOST, Plan, ServiceProcess, secret_file
from atoll.wire.description import GatewayData, MemberData


def gateway_of(plan: Plan, serving: Mapping[str, int]) -> envoy.Gateway:
    """What Envoy is told.

    serving: the processes that can be asked now, with the port that answers for the health of each.
    """
    members = exposed(plan.description)
    declared = plan.description.gateway
    assert declared is not None
    return envoy.Gateway(
        port=plan.gateway_port,
        routes=tuple(route for member in members for route in routes_of(plan.description, member)),
        clusters=tuple(_cluster(plan, member, serving) for member in members),
        host=HOST,
        collector=plan.collection.listen,
        limits=limits_of(declared),
        policy=policy_of(declared, _access(plan, declared)),
    )


def _access(plan: Plan, declared: GatewayData) -> Access:
    """As declared, and the local issuer's tokens, which are good on this machine alone."""
    local = tuple(Issuer(LOCAL_ISSUER, audience, plan.local_keys) for audience in audiences(declared))
    keys = declared.api_keys
    found = ClientKeys(keys.header, keys.scopes, file=secret_file(plan.home, keys.secret)) if keys else None
    # Without authorities to trust, keys from an address can't be: nothing else depends on them.
    trusted = [each for each in issuers_of(declared) if plan.certificates or not each.url.startswith("https:")]
    issuers = (*trusted, *(local if plan.local_keys else ()))
    return Access(issuers, found, PurePath(plan.certificates))


def _cluster(plan: Plan, member: MemberData, serving: Mapping[str, int]) -> envoy.Cluster:
    replicas = [each for each in plan.processes if each.service == member.name and each.name in serving]
    return envoy.Cluster(
        name=member.name,
        endpoints=tuple(envoy.Endpoint(HOST, each.port, _health_port(each, serving)) for each in replicas),
        health_path=member.health if member.kind == "process" else "/health/ready",
    )


def _health_port(process: ServiceProcess, serving: Mapping[str, int]) -> int:
    return 0 if serving[process.name] == process.port else serving[process.name]
