"""`atoll token`."""

import asyncio
import time

import click
import msgspec

from atoll.cli.options import json_option, target_option
from atoll.cli.project import find_target
from atoll.errors import BAD_ARGUMENT, NO_TOKENS
from atoll.model.access import SCOPE
from atoll.provision.issuer import audiences, sign
from atoll.supervisor.install import issuer_key, make_folders
from atoll.supervisor.plan import home_of

_MOST = 200
_LONGEST = 30 * 24 * 3600


@click.command("token")
@click.option("--subject", required=True, help="Who the caller is: the token's `sub`.")
@click.option("--scopes", default="", metavar='"A B"', help="What the caller may do, with spaces between.")
@click.option(
    "--expires", default=3600, show_default=True, type=click.IntRange(-_LONGEST, _LONGEST), help="Seconds it is good."
)
@target_option
@json_option
def command(subject: str, scopes: str, expires: int, target: str | None, as_json: bool) -> None:
    """Print a token that the gateway accepts while the system runs here, and no other gateway ever does.

    curl -H "authorization: Bearer $(atoll token --subject ada --scopes orders:write)" localhost:8080/orders
    """
    wanted = scopes.split()
    _check(subject, wanted)
    description = asyncio.run(find_target(target).project().describe())
    gateway = description.gateway
    if gateway is None or not gateway.issuers:
        raise NO_TOKENS.error(system=description.name)
    home = home_of(description)
    make_folders(home)
    now = int(time.time())
    token = sign(issuer_key(home.secrets), audiences(gateway), subject, wanted, now=now, expires=expires)
    said = {"token": token, "subject": subject, "scopes": wanted, "expires": now + expires}
    click.echo(msgspec.json.encode(said).decode() if as_json else token)


def _check(subject: str, scopes: list[str]) -> None:
    """Raises BAD_ARGUMENT."""
    if not subject or not subject.isprintable() or len(subject) > _MOST:
        raise BAD_ARGUMENT.error(
            argument="--subject",
            reason=f"it is empty, not printable or longer than {_MOST} characters",
            do="--subject ada",
        )
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise BAD_ARGUMENT.error(argument=f"--scopes {scope}", reason="it is no scope", do="--scopes orders:write")
