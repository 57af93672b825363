"""`atoll render prometheus`."""

import asyncio
from pathlib import Path

import click

from atoll.cli.declared import declared
from atoll.cli.files import tell_files, write_folder
from atoll.cli.options import environment_option, json_option, target_argument
from atoll.engines.alertmanager import routing
from atoll.engines.alerts import rule_file
from atoll.engines.pace import MOST
from atoll.engines.prometheus import RULES
from atoll.engines.rule_tests import rule_tests
from atoll.kubernetes.monitoring import observed, receivers, scrape_configuration
from atoll.kubernetes.names import RENDERED, Object
from atoll.kubernetes.text import yaml


@click.command("prometheus")
@target_argument
@environment_option
@click.option("--scale", type=click.FloatRange(1.0, MOST), default=1.0, help="Let time go so many times as fast.")
@click.option("--output", default="prometheus", show_default=True, metavar="FOLDER", help="Where to write the files.")
@json_option
def command(target: str | None, environment: str, scale: float, output: str, as_json: bool) -> None:
    """Write rules and alerts, their tests, Alertmanager's routing, and how Prometheus finds what runs.

    \b
    promtool test rules FOLDER/rules.test.yml
    amtool check-config FOLDER/alertmanager.yml
    """
    wanted = asyncio.run(declared(target, environment))
    seen = observed(wanted, scale)
    files = {
        RULES: rule_file(seen),
        "rules.test.yml": rule_tests(seen, RULES),
        "alertmanager.yml": routing(receivers(wanted), seen.pace),
        "scrape.yml": scrape_configuration(wanted),
    }
    folder = Path(output)
    write_folder(folder, {name: _written(content) for name, content in files.items()})
    tell_files(folder, list(files), as_json=as_json)


def _written(content: Object) -> str:
    return f"{RENDERED} prometheus`.\n" + yaml([content]).removeprefix("---\n")
