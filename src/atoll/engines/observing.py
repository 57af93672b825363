"""The gateway's side door: where a cluster asks for its health and figures."""

from atoll.engines.xds import address, named

ADMIN = "atoll.admin"
"""No member can have this name, which a cluster of Envoy has to have for itself."""


def observing(host: str, port: int) -> dict[str, object]:
    """A listener with the two paths of the admin interface that are safe to show, and nothing else of it."""
    routes = [
        {"match": {"path": path}, "route": {"cluster": ADMIN, "timeout": "5s"}}
        for path in ("/ready", "/stats/prometheus")
    ]
    manager = named(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="observing",
        http_filters=[named("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")],
        route_config={"name": "observing", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    )
    return {
        "name": "observing",
        "address": address(host, port),
        # It still answers while the gateway drains.
        "drain_type": "MODIFY_ONLY",
        "filter_chains": [{"filters": [manager]}],
    }


def admin_cluster(port: int) -> dict[str, object]:
    endpoint = {"endpoint": {"address": address("127.0.0.1", port)}}
    return {
        "name": ADMIN,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": ADMIN, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
