"""What a process tells about itself: spans, metrics, log lines."""

from dataclasses import dataclass

from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What each part of a service process is given to record with. replica: such as "users-2"."""

    recorder: Recorder
    metrics: Metrics
    service: str
    replica: str
