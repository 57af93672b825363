"""Groups of commands that are imported when they are called."""

import importlib
import re
from collections.abc import Mapping

import click

from atoll.errors import EXTRA_MISSING

# As click reads it: alone, behind other short options, or with its value.
_ENVIRONMENT = re.compile(r"-[a-z]*e.*|--environment(=.*)?")


class Commands(click.Group):
    """A group whose commands are modules of this package.

    table: by name the module and what it does. Help is made from it, for loading every command takes a quarter of a
    second. elsewhere: the module of a command when it is asked, by --environment, about a cluster and not this machine.
    """

    def __init__(
        self,
        *arguments: object,
        table: Mapping[str, tuple[str, str]],
        elsewhere: Mapping[str, str] | None = None,
        **options: object,
    ) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # as click was called
        self._table = table
        self._elsewhere = elsewhere or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._table:
            return None
        return self._load(cmd_name, self._table[cmd_name][0])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self._elsewhere and any(_ENVIRONMENT.fullmatch(each) for each in rest):
            command = self._load(name, self._elsewhere[name])
        return name, command, rest

    def _load(self, cmd_name: str, module_name: str) -> click.Command:
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
