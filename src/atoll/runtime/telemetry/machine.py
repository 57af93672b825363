"""What the operating system knows of this process: its age, CPU time, memory and open files."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

from atoll.runtime.telemetry import Telemetry

_FILES = Path("/proc/self/fd")
_MEMORY = Path("/proc/self/statm")


def observe(telemetry: Telemetry, system: str) -> None:
    """Put it on the page of metrics, under the names that every client library of Prometheus uses."""
    metrics = telemetry.metrics
    who = {
        "service.namespace": system,
        "service.name": telemetry.service,
        "service.instance.id": telemetry.replica,
        "telemetry.sdk.name": "atoll",
    }
    metrics.gauge("target.info", "Who this is, as OpenTelemetry's resource attributes say it.", who).set(1)
    began = time.time()
    figures: tuple[tuple[str, str, Callable[[], float]], ...] = (
        ("process_start_time_seconds", "When the process began, since the epoch.", lambda: began),
        ("process_resident_memory_bytes", "Memory that is in RAM.", resident_bytes),
        ("process_open_fds", "Open files and sockets.", open_files),
        ("process_max_fds", "Most of them.", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    )
    for name, text, read in figures:
        metrics.gauge(name, text, {}).read = read
    metrics.counter("process_cpu_seconds_total", "CPU time used.", {}).read = cpu_seconds


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_bytes() -> float:
    """The most that it ever was, where nobody tells what it is."""
    try:
        return int(_MEMORY.read_text().split()[1]) * float(resource.getpagesize())
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def open_files() -> float:
    """0 where nobody tells."""
    return float(sum(1 for _ in _FILES.iterdir())) if _FILES.is_dir() else 0.0
