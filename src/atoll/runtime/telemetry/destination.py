"""Where telemetry goes, as the launch document and OpenTelemetry's own variables say it."""

from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from atoll.model.launch import Telemetry
from atoll.model.references import FromEnvironment

ENDPOINT, HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"


def destination(telemetry: Telemetry, variables: Mapping[str, str]) -> Telemetry:
    """The variables win: whoever sets them wants everything there, log lines too, which our collector reads by itself.

    Source: OpenTelemetry protocol exporter, environment variables.
    """
    endpoint = variables.get(ENDPOINT, "")
    if not endpoint:
        return telemetry
    headers = FromEnvironment(HEADERS) if variables.get(HEADERS) else None
    return msgspec.structs.replace(telemetry, endpoint=endpoint, headers=headers, sends_logs=True)


def parse_headers(text: str) -> dict[str, str]:
    """ "api-key=s%3D,tenant=blue" → {"api-key": "s=", "tenant": "blue"}; what is no pair is left out."""
    pairs = (each.partition("=") for each in text.split(","))
    found = {name.strip().lower(): unquote(value.strip()) for name, equals, value in pairs if equals and name.strip()}
    return {name: value for name, value in found.items() if not {"\r", "\n"} & {*name, *value}}
