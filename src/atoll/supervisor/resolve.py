"""References become what they stand for: passwords and DSNs in files that only their owner can read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from atoll.engines import marks, nats, postgres
from atoll.engines.connections import allowed
from atoll.engines.engine import File
from atoll.errors import SECRET_WITHOUT_SOURCE, AtollError, Problem
from atoll.model.references import Source, resolve
from atoll.model.resources import Secret
from atoll.model.secrets import entry_of, variable_of
from atoll.provision import databases
from atoll.supervisor.environment import Environment
from atoll.supervisor.initdb import owners, service_dsn, superuser_dsn
from atoll.supervisor.install import secret, write
from atoll.supervisor.plan import HOST, Plan, credentials
from atoll.wire.description import Description, MemberData


def write_secrets(plan: Plan, environment: Environment, variables: Mapping[str, str]) -> None:
    """The users' own secrets, from environments/local.toml or the variables of the shell.

    Raises SECRET_WITHOUT_SOURCE for each that has neither.
    """
    problems: list[Problem] = []
    for file, name in plan.secrets.items():
        secret = Secret(name.name, name.key)
        value = _value(secret, environment, variables)
        if value is None:
            problems.append(
                SECRET_WITHOUT_SOURCE.at(
                    service=plan.description.name, secret=entry_of(secret), variable=variable_of(secret)
                )
            )
        else:
            write(File(file, value))
    if problems:
        raise AtollError(*problems)
    if plan.addresses.nats:
        write(File(plan.home.secrets / "nats-address", credentials(plan.addresses.nats)[1]))


def with_own_databases(description: Description, environment: Environment, variables: Mapping[str, str]) -> Description:
    """The description with a database of atoll's making wherever the secret of one has no value here.

    Such a secret names what the cluster has; a laptop need not have it too.
    """

    def own(member: MemberData) -> MemberData:
        database = member.database
        if database is None or _value(Secret(database.secret, database.key), environment, variables) is not None:
            return member
        return msgspec.structs.replace(member, database=msgspec.structs.replace(database, secret="", key=""))

    return msgspec.structs.replace(description, members=tuple(own(member) for member in description.members))


def _value(secret: Secret, environment: Environment, variables: Mapping[str, str]) -> str | None:
    return environment.secrets.get(entry_of(secret), variables.get(variable_of(secret)))


def broker_of(plan: Plan) -> nats.Broker:
    """The broker with the passwords of everyone who may use it."""
    home = plan.home
    return nats.Broker(
        port=plan.ports["nats"],
        monitor_port=plan.ports["nats-monitor"],
        admin_password=secret(home.secrets, f"nats-{nats.ADMIN}"),
        accounts=tuple(replace(each, password=secret(home.secrets, f"nats-{each.user}")) for each in plan.accounts),
    )


def connections_of(plan: Plan) -> dict[str, int]:
    """How many each database's role may have."""
    running = Counter(each.service for each in plan.processes)
    owning = [each for each in plan.description.members if each.name in plan.databases]
    return {plan.databases[each.name]: allowed(each, running[each.name]) for each in owning}


async def create_databases(plan: Plan, server: postgres.Server | None) -> None:
    """A database and a role for each service that has none yet, and its DSN in a file.

    server: our own; None if the plan has the address of one. Raises ENGINE_UNUSABLE.
    """
    most = connections_of(plan)
    names = [replace(each, connections=most[each.name]) for each in owners(plan.home, most)]
    if server is not None:
        await databases.create_databases(superuser_dsn(plan.home, server), names, server.limits)
        found = {each.name: service_dsn(server, each) for each in names}
    else:
        # Nothing more: `.atoll` with the passwords may have gone, and the folder have another name.
        mark = marks.mark(plan.description.name, "atoll run")
        found = await databases.adopt_databases(plan.addresses.postgres, names, postgres.Limits(), mark)
    for service, database in plan.databases.items():
        write(File(plan.home.secrets / f"dsn-{service}", found[database]))


def environment_of(added: Mapping[str, Source], variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a member's process: the shell's without secrets of other members, and what is added."""
    inherited = {name: value for name, value in variables.items() if not name.startswith("ATOLL_SECRET_")}
    # Output that is kept in a buffer says nothing about a crash.
    inherited["PYTHONUNBUFFERED"] = "1"
    return {**inherited, **{name: read(source, variables) for name, source in added.items()}}


def read(source: Source, variables: Mapping[str, str]) -> str:
    """The value behind a reference, on this machine."""
    return resolve(source, lambda path: Path(path).read_text(), variables.__getitem__)


def address_of(name: str, plan: Plan) -> str:
    """Where an engine listens, as shown to people."""
    return f"{HOST}:{plan.gateway_port if name == 'envoy' else plan.ports[name]}"
