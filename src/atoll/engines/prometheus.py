"""Prometheus: what it measures, which rules it watches, whom it tells."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from atoll.engines.alerts import rule_file
from atoll.engines.engine import Command, Engine, File, HttpGet
from atoll.engines.observed import Observed
from atoll.engines.pace import Pace, duration

NAME = "prometheus"
RULES = "rules.yml"


@dataclass(frozen=True, slots=True)
class Server:
    """port: where it answers. alertmanager: "host:port"."""

    port: int
    alertmanager: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One process whose page is read. job, instance: as its figures are labelled."""

    job: str
    instance: str
    address: str
    path: str = "/metrics"


def engine(program: PurePath, server: Server, observed: Observed, folder: PurePath) -> Engine:
    """Prometheus with its data in `folder`, and below it `targets` with what is measured; see `targets`."""
    command = Command(
        arguments=(
            str(program),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=1d",
            "--storage.tsdb.retention.size=256MB",
            f"--web.listen-address=127.0.0.1:{server.port}",
            "--log.level=warn",
        ),
        directory=folder,
    )
    return Engine(NAME, files(server, observed, folder), command, HttpGet("/-/ready", port=server.port))


def files(server: Server, observed: Observed, folder: PurePath) -> tuple[File, ...]:
    """What it reads again at SIGHUP: rules, and the configuration."""
    return (
        _file(folder / RULES, rule_file(observed)),
        _file(folder / "prometheus.yml", configuration(server, observed.pace, folder)),
    )


def configuration(server: Server, pace: Pace, folder: PurePath) -> dict[str, object]:
    every = duration(pace.measured)
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(folder / RULES)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [server.alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": "atoll",
                "file_sd_configs": [{"files": [str(folder / "targets" / "*.json")], "refresh_interval": "5s"}],
            }
        ],
    }


def targets(measured: Iterable[Measured], folder: PurePath) -> File:
    """What is measured from now on; Prometheus sees a file that is replaced by renaming."""
    found = [
        {
            "targets": [each.address],
            "labels": {"job": each.job, "instance": each.instance, "__metrics_path__": each.path},
        }
        for each in measured
    ]
    return _file(folder / "targets" / "processes.json", found)


def _file(path: PurePath, content: object) -> File:
    return File(path, json.dumps(content, indent=2) + "\n")
