"""A typed call to another service: CPU of the calling process, against other clients."""

import subprocess

from benchmarks.figures import Result, compare
from benchmarks.processes import LOAD_CORE, ROOT, free_port, pinned, python, server

CONCURRENCY = 32
# Slow clients make fewer calls: the sample is CPU a call, and each should run about a second.
CALLS = {"atoll": 30_000, "bare": 30_000, "aiohttp": 8_000, "httpx": 2_500, "grpc.aio": 4_000}
PROGRAMS = {
    "atoll": "benchmarks.call.ours",
    "bare": "benchmarks.call.bare",
    "aiohttp": "benchmarks.call.with_aiohttp",
    "httpx": "benchmarks.call.with_httpx",
    "grpc.aio": "benchmarks.call.with_grpc",
}


def run(rounds: int) -> Result:
    """Each client in turn, round after round, against the same bare server (gRPC: its own)."""
    samples: dict[str, list[float]] = {}
    http, grpc = free_port(), free_port()
    with (
        server(python("-m", "benchmarks.endpoint.bare", str(http)), http),
        server(python("-m", "benchmarks.call.grpc_server", str(grpc)), grpc),
    ):
        for _ in range(rounds):
            for contender, program in PROGRAMS.items():
                port = grpc if contender == "grpc.aio" else http
                samples.setdefault(contender, []).append(measure(program, port, CALLS[contender]))
    ours = sorted(samples["atoll"])
    figures = {"microseconds_per_call": ours[len(ours) // 2]}
    return compare("call", "CPU microseconds a call", samples, smaller_is_better=True, figures=figures)


def measure(program: str, port: int, calls: int) -> float:
    command = [*pinned(LOAD_CORE), *python("-m", program, str(port), str(calls), str(CONCURRENCY))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr}")
    return float(done.stdout)
