"""A POST of a small validated JSON body: requests a second of CPU, against bare loops and frameworks."""

import subprocess
import tempfile
from pathlib import Path

import msgspec
import psutil

from atoll.model.launch import Launch
from benchmarks.figures import Result, compare
from benchmarks.processes import LOAD_CORE, ROOT, cpu_seconds, free_port, pinned, python, server

SECONDS, CONNECTIONS = 2.0, 32
BODY = b'{"customer":"ada","items":[{"sku":"a","qty":2},{"sku":"b","qty":3}]}'
REQUEST = (
    b"POST /orders/42 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: */*\r\n"
    b"User-Agent: load\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error")


def commands(port: int, folder: Path) -> dict[str, list[str]]:
    """How each contender is started; `atoll` as the supervisor does it, with all its defaults on."""
    launch = Launch(
        system="benchmark",
        service="orders",
        replica="orders-1",
        kind="service",
        target="benchmarks.endpoint.ours:Orders",
        import_path=(str(ROOT),),
        listen=f"127.0.0.1:{port}",
        admin=f"127.0.0.1:{free_port()}",
    )
    document = folder / "launch.json"
    document.write_bytes(msgspec.json.encode(launch))
    uvicorn = [*UVICORN, "--port", str(port)]
    granian = ["-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--workers", "1", "--no-access-log"]
    return {
        "atoll": python("-m", "atoll.runtime", str(document)),
        "bare": python("-m", "benchmarks.endpoint.bare", str(port)),
        "uvicorn": python(*uvicorn, "benchmarks.endpoint.asgi:app"),
        "granian": python(*granian, "--log-level", "error", "--port", str(port), "benchmarks.endpoint.asgi:app"),
        "fastapi": python(*uvicorn, "benchmarks.endpoint.with_fastapi:app"),
        "litestar": python(*uvicorn, "benchmarks.endpoint.with_litestar:app"),
    }


def run(rounds: int) -> Result:
    """Each contender in turn, round after round; CPU of the server alone, so that a slow load can't flatter it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = folder / "request"
        request.write_bytes(REQUEST)
        samples: dict[str, list[float]] = {}
        rates: list[float] = []
        for _ in range(rounds):
            port = free_port()
            for contender, command in commands(port, folder).items():
                with server(command, port) as process:
                    measure(port, request, process, 0.3)  # warm
                    per_cpu_second, per_second = measure(port, request, process, SECONDS)
                samples.setdefault(contender, []).append(per_cpu_second)
                rates += [per_second] if contender == "atoll" else []
    figures = {"requests_per_second": sorted(rates)[len(rates) // 2]}
    return compare("endpoint", "requests a CPU second", samples, smaller_is_better=False, figures=figures)


def measure(port: int, request: Path, process: psutil.Process, seconds: float) -> tuple[float, float]:
    """Answers a second of the server's CPU, and answers a second."""
    before = cpu_seconds(process)
    command = [
        *pinned(LOAD_CORE),
        *python("-m", "benchmarks.load", str(port), str(seconds), str(CONNECTIONS), str(request)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    answers = int(done.stdout)
    return answers / max(cpu_seconds(process) - before, 1e-9), answers / seconds
