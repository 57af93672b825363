"""The gateway's routes and endpoints, from what is declared and from what serves."""

from collections.abc import Mapping

from atoll.engines import envoy
from atoll.engines.routing import Route
from atoll.supervisor.plan import HOST, Plan, ServiceProcess
from atoll.wire.description import Description, MemberData


def gateway_of(plan: Plan, serving: Mapping[str, int]) -> envoy.Gateway:
    """What Envoy is told.

    serving: the processes that can be asked now, with the port that answers for the health of each.
    """
    exposed = _exposed(plan.description)
    return envoy.Gateway(
        port=plan.gateway_port,
        routes=tuple(route for member in exposed for route in routes_of(plan.description, member)),
        clusters=tuple(_cluster(plan, member, serving) for member in exposed),
        host=HOST,
    )


def routes_of(description: Description, member: MemberData) -> list[Route]:
    """Every operation of the member's contracts; of an application the prefix below which all is its own."""
    routes: dict[tuple[str, str], Route] = {}
    for target in member.contracts:
        contract = description.contract(target)
        for each in contract.operations if contract else ():
            routes[each.method, each.path] = Route(
                path=each.path,
                cluster=member.name,
                methods=(each.method,),
                timeout=0.0 if each.streams else member.deadline,
                operation=f"{member.name}.{each.name}",
            )
    if routes or not member.path:
        return list(routes.values())
    return [Route(member.path, member.name, prefix=True, timeout=member.deadline, operation=member.name)]


def _exposed(description: Description) -> list[MemberData]:
    names = description.gateway.expose if description.gateway else ()
    found = [description.member(name) for name in names]
    return [member for member in found if member and member.kind != "external"]


def _cluster(plan: Plan, member: MemberData, serving: Mapping[str, int]) -> envoy.Cluster:
    replicas = [each for each in plan.processes if each.service == member.name and each.name in serving]
    return envoy.Cluster(
        name=member.name,
        endpoints=tuple(envoy.Endpoint(HOST, each.port, _health_port(each, serving)) for each in replicas),
        health_path=member.health if member.kind == "process" else "/health/ready",
    )


def _health_port(process: ServiceProcess, serving: Mapping[str, int]) -> int:
    return 0 if serving[process.name] == process.port else serving[process.name]
