"""Groups of commands that are imported when they are called."""

import importlib
from collections.abc import Mapping

import click

from atoll.errors import EXTRA_MISSING


class Commands(click.Group):
    """A group whose commands are modules of this package.

    table: by name the module and what it does. Help is made from it, for loading every command takes a quarter of a
    second.
    """

    def __init__(self, *arguments: object, table: Mapping[str, tuple[str, str]], **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # as click was called
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._table:
            return None
        module_name = self._table[cmd_name][0]
        try:
            module = importlib.import_module(f"atoll.cli.{module_name}")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("atoll"):
                raise
            extra = "atoll[kubernetes]" if error.name in {"kr8s", "packaging"} else "atoll[local]"
            raise EXTRA_MISSING.error(command=cmd_name, package=error.name, extra=extra) from error
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._table.items()])
