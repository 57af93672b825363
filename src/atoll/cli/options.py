"""Options that several commands have."""

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)


def target_option(function: F) -> F:
    """For commands whose arguments are something else."""
    text = "The system, where pyproject.toml does not say it: package.module:name, or a file."
    return click.option("--system", "target", metavar="TARGET", help=text)(function)


def target_argument(function: F) -> F:
    return click.argument("target", required=False)(function)


def environment_option(function: F) -> F:
    text = "Which cluster: environments/NAME.toml beside the system file."
    option = click.option("--environment", "-e", default="production", show_default=True, metavar="NAME", help=text)
    return option(function)


def elsewhere_option(function: F) -> F:
    """For the help of a command that another module answers where a cluster is named."""
    text = "Of a cluster, not of this machine: environments/NAME.toml beside the system file."
    return click.option("--environment", "-e", metavar="NAME", expose_value=False, help=text)(function)


WITH_DASHBOARD = "atoll.with_dashboard"
"""Where a command's context keeps that it was asked for."""


def dashboard_option(function: F) -> F:
    """Like `telemetry.dashboard = true` in the environment, which `declared` reads."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.meta[WITH_DASHBOARD] = value

    text = "With a collector, and the dashboard in it; as telemetry.dashboard = true in the environment."
    return click.option("--with-dashboard", is_flag=True, expose_value=False, callback=remember, help=text)(function)


def base_option(function: F) -> F:
    text = "Base of the images in Python, instead of the environment's; for `render` the same as for `build`."
    return click.option("--base", default="", metavar="IMAGE", help=text)(function)
