"""The forms that Envoy's configuration is made of."""

import json
from hashlib import sha256
from pathlib import PurePath

from atoll.engines.engine import File

TYPE = "type.googleapis.com/"


def watched(path: PurePath) -> dict[str, object]:
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
    }


def resources(path: PurePath, resources: list[dict[str, object]]) -> File:
    version = sha256(text(resources).encode()).hexdigest()[:16]
    return File(path, text({"version_info": version, "resources": resources}))


def named(name: str, type_name: str, **config: object) -> dict[str, object]:
    return {"name": name, "typed_config": {"@type": TYPE + type_name, **config}}


def address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def seconds(seconds: float) -> str:
    return f"{seconds:g}s"


def text(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def compact(value: object) -> str:
    """For a place of bounded size."""
    return json.dumps(value, separators=(",", ":")) + "\n"
