"""Everything that has to run for a system on this machine: processes, engines, ports, documents."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal
from urllib.parse import unquote

from atoll.engines import alertmanager, collector, nats, prometheus
from atoll.engines.alertmanager import Receivers
from atoll.engines.alerts import FIGURES
from atoll.engines.declared import (
    EngineName,
    account_of,
    bounds_of,
    consumers_of,
    database_name,
    engines_of,
    has_own_database,
    remembered_by,
    streams_of,
    uses_broker,
)
from atoll.engines.pace import Pace
from atoll.errors import BAD_ARGUMENT, PROGRAM_MISSING, Problem
from atoll.model.launch import CallTo, Collection, Dashboard, DatabaseTo, Launch, Messaging, Preparation, Telemetry
from atoll.model.references import FromFile, Source
from atoll.model.references import Literal as Constant
from atoll.model.resources import Secret
from atoll.model.secrets import entry_of
from atoll.model.suggest import nearest
from atoll.supervisor.environment import Engines
from atoll.supervisor.home import Home
from atoll.supervisor.state import Planned, Process
from atoll.supervisor.state import Preparation as Prepared
from atoll.wire.description import Description, MemberData
from atoll.wire.secrets import SecretData

HOST = "127.0.0.1"
DEFAULT_GATEWAY_PORT = 8080
DASHBOARD_PORT = 8090
DASHBOARD = "dashboard"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    replicas: by service; one of each unless told otherwise. port: of the gateway; None is the declared one.
    prometheus: whether Prometheus and Alertmanager of this machine watch the run.
    any_ports: whatever ports services declare, so that a test runs beside another run of the same system.
    dashboard: the host and port where its pages are, "" for the usual; anywhere but on loopback they want a token.
    """

    replicas: Mapping[str, int] = field(default_factory=dict)
    port: int | None = None
    any_ports: bool = False
    dashboard: str = ""
    logs: Literal["json", "human"] = "json"
    prometheus: bool = False


@dataclass(frozen=True, slots=True)
class PortWish:
    """A port that is needed.

    wanted: exactly this one; 0 is any. preferred: of any, this one if it is free. option: how to ask for another.
    """

    name: str
    wanted: int = 0
    option: str = ""
    preferred: int = 0


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """One replica of a member.

    admin: two admin ports, used in turn, so that a successor can be watched while the old process serves; empty
    where the service port answers for its health itself.
    command: of a Process; () starts the runtime with the launch document.
    environment: added to the user's own. needs: engines to be ready first.
    left_out: why it can't run here; None if it can.
    """

    name: str
    service: str
    kind: Literal["service", "asgi", "process"]
    port: int
    admin: tuple[int, ...]
    launch: Launch | None
    command: tuple[str, ...]
    directory: PurePath
    environment: Mapping[str, Source]
    health: str
    grace: float
    needs: tuple[EngineName, ...]
    left_out: Problem | None = None

    @property
    def replaceable(self) -> bool:
        """Whether two of it can listen on one port."""
        return self.launch is not None


@dataclass(frozen=True, slots=True)
class Watching:
    """Prometheus and Alertmanager of this machine: their programs, how fast time goes for rules, who is told."""

    prometheus: Path
    alertmanager: Path
    pace: Pace
    receivers: Receivers


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs.

    engines: those started here. databases: to be made on the server, by service.
    secrets: of the users' settings, variables and DSNs, by the file that they are written to.
    accounts: of the broker, without passwords. collection: what the collector is started with.
    local_keys: the JWKS of this machine's own issuer; "" without one.
    certificates: the file of the authorities that this machine trusts; "" where none was found.
    watching: None where nobody watches.
    """

    description: Description
    home: Home
    ports: Mapping[str, int]
    engines: tuple[str, ...]
    addresses: Engines
    processes: tuple[ServiceProcess, ...]
    preparations: Mapping[str, Preparation]
    databases: Mapping[str, str]
    secrets: Mapping[Path, SecretData]
    accounts: tuple[nats.Account, ...]
    collection: Collection
    gateway_port: int
    local_keys: str = ""
    certificates: str = ""
    watching: Watching | None = None

    def process(self, name: str) -> ServiceProcess | None:
        return next((each for each in self.processes if each.name == name), None)

    @property
    def url(self) -> str:
        """Of the gateway; "" if there is none."""
        return f"http://{HOST}:{self.gateway_port}" if self.gateway_port else ""


def fault_token(home: Home) -> Path:
    """The file with the token of who may tell a process to fail on purpose."""
    return home.secrets / "faults"


def home_of(description: Description, namespace: str = "") -> Home:
    """Where the system's state is kept. namespace: "" is the local one."""
    suffix = f"-{namespace}" if namespace else ""
    return Home(Path(description.folder) / ".atoll" / f"{description.name}{suffix}")


def unknown_replicas(description: Description, options: Options) -> list[Problem]:
    """What is wrong with the asked numbers of replicas."""
    problems: list[Problem] = []
    runnable = [member.name for member in description.members if member.kind != "external"]
    for name, count in options.replicas.items():
        if name not in runnable:
            has = nearest(name, runnable)
            problems.append(
                BAD_ARGUMENT.at(
                    argument=f"--replicas {name}={count}", reason="no service has this name", do="name one", has=has
                )
            )
        elif not 0 <= count <= 100:
            problems.append(
                BAD_ARGUMENT.at(argument=f"--replicas {name}={count}", reason="0 to 100 are possible", do="correct it")
            )
    return problems


def ports_needed(description: Description, options: Options, addresses: Engines) -> list[PortWish]:
    """In the order in which they should be given out."""
    wishes: list[PortWish] = []
    if description.gateway:
        port = description.gateway.port if options.port is None else options.port
        wishes.append(PortWish("gateway", port, "--port"))
    wishes += [PortWish(collector.NAME), dashboard_wish(options)]
    started = _started_here(description, addresses)
    if "postgres" in started:
        wishes.append(PortWish("postgres"))
    if "nats" in started:
        wishes += [PortWish("nats"), PortWish("nats-monitor")]
    wishes.append(PortWish(FIGURES))
    if options.prometheus:
        wishes += [PortWish(prometheus.NAME), PortWish(alertmanager.NAME)]
    for member in description.members:
        for number in range(1, _replicas(member, options) + 1):
            name = f"{member.name}-{number}"
            declared = member.port if number == 1 and not options.any_ports else 0
            wishes.append(PortWish(name, declared, f"port= of {member.name}"))
            if member.kind != "process":
                wishes += [PortWish(f"{name}/admin"), PortWish(f"{name}/admin-next")]
    return wishes


def dashboard_wish(options: Options) -> PortWish:
    """The usual port, or any if that is taken, or if it was asked for any at the gateway too."""
    if options.dashboard:
        return PortWish(DASHBOARD, int(options.dashboard.rpartition(":")[2]), "--dashboard")
    return PortWish(DASHBOARD, preferred=0 if options.port == 0 else DASHBOARD_PORT)


def programs_needed(description: Description) -> dict[str, MemberData]:
    """The programs of Process members, with one member each that needs it."""
    return {member.command[0]: member for member in description.members if member.command}


def plan(
    description: Description,
    home: Home,
    options: Options,
    addresses: Engines,
    ports: Mapping[str, int],
    programs: Mapping[str, str],
    watching: Watching | None = None,
) -> Plan:
    """Everything to start. The description must be without problems.

    addresses: of engines that run elsewhere. ports: by the names of `ports_needed`.
    programs: the path of each found program of a Process. watching: who watches it all.
    """
    planning = _Planning(description, home, options, addresses, ports, programs)
    processes = tuple(
        planning.process(member, number)
        for member in description.members
        for number in range(1, _replicas(member, options) + 1)
    )
    members = [member for member in description.members if member.kind != "external"]
    prepared = {member.name: planning.preparation(member) for member in members}
    return Plan(
        description=description,
        home=home,
        ports=ports,
        engines=(
            *_started_here(description, addresses),
            *((prometheus.NAME, alertmanager.NAME) if watching else ()),
        ),
        addresses=addresses,
        processes=processes,
        preparations={name: document for name, document in prepared.items() if document},
        databases={each.name: database_name(each) for each in members if each.database and not each.database.secret},
        secrets=planning.secrets(members),
        accounts=tuple(account_of(description.name, member) for member in members if uses_broker(member)),
        collection=planning.collection(),
        gateway_port=ports["gateway"] if description.gateway else 0,
        watching=watching,
    )


def planned(made: Plan) -> Planned:
    """The processes and preparations of the plan, before anything is known of them; engines first."""
    engines = [Process(name, "engine", name) for name in made.engines]
    services = [
        Process(
            each.name,
            "service",
            each.service,
            each.needs,
            each.replaceable,
            state="left out" if each.left_out else "waiting",
            reason=each.left_out.sentence if each.left_out else "",
        )
        for each in made.processes
    ]
    members = {each.name: each for each in made.description.members}
    preparations = [Prepared(name, _needs(members[name], made.engines)) for name in made.preparations]
    # The last to be started, for nothing waits for it.
    return Planned((*engines, *services, Process(collector.NAME, "engine", collector.NAME)), tuple(preparations))


def secret_file(home: Home, secret: SecretData) -> Path:
    """Where its value is on this machine."""
    return home.secrets / f"user-{entry_of(Secret(secret.name, secret.key))}"


def _started_here(description: Description, addresses: Engines) -> tuple[EngineName, ...]:
    elsewhere = {"postgres": addresses.postgres, "nats": addresses.nats, "envoy": ""}
    return tuple(name for name in engines_of(description) if not elsewhere[name])


def _needs(member: MemberData, started: Iterable[str]) -> tuple[EngineName, ...]:
    """The engines, of those started here, that have to be ready before the member is."""
    wanted: dict[EngineName, bool] = {
        "postgres": has_own_database(member),
        "nats": uses_broker(member),
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted and name in started)


def _replicas(member: MemberData, options: Options) -> int:
    return 0 if member.kind == "external" else options.replicas.get(member.name, 1)


@dataclass(frozen=True, slots=True)
class _Planning:
    """What every document of one plan is made from."""

    description: Description
    home: Home
    options: Options
    addresses: Engines
    ports: Mapping[str, int]
    programs: Mapping[str, str]

    def process(self, member: MemberData, number: int) -> ServiceProcess:
        name = f"{member.name}-{number}"
        is_process = member.kind == "process"
        admin: tuple[int, ...] = () if is_process else (self.ports[f"{name}/admin"], self.ports[f"{name}/admin-next"])
        program = self.programs.get(member.command[0], "") if is_process else ""
        missing = is_process and not program
        return ServiceProcess(
            name=name,
            service=member.name,
            kind="process" if member.kind == "process" else "asgi" if member.kind == "asgi" else "service",
            port=self.ports[name],
            admin=admin,
            launch=None if is_process else self.launch(member, name, admin[0]),
            command=(program, *member.command[1:]) if is_process else (),
            directory=PurePath(member.directory or self.description.folder),
            environment=self.environment(member, name),
            health=member.health if is_process else "/health/ready",
            grace=member.grace,
            needs=_needs(member, _started_here(self.description, self.addresses)),
            left_out=PROGRAM_MISSING.at(member.place, service=member.name, program=member.command[0])
            if missing
            else None,
        )

    def launch(self, member: MemberData, name: str, admin: int) -> Launch:
        return Launch(
            system=self.description.name,
            service=member.name,
            replica=name,
            kind="asgi" if member.kind == "asgi" else "service",
            target=member.target,
            import_path=self.description.import_path,
            path=member.path or "/",
            listen=f"{HOST}:{self.ports[name]}",
            # A successor with changed code is ready before the old process stops.
            share_port=True,
            admin=f"{HOST}:{admin}",
            calls=tuple(
                CallTo(call.parameter, call.contract, call.to, self.replicas_of(call.to)) for call in member.calls
            ),
            database=DatabaseTo(self.dsn(member), member.database.connections) if member.database else None,
            messaging=self.messaging(member),
            settings=member.settings,
            secrets={field: FromFile(str(self.secret_file(secret))) for field, secret in member.secrets.items()},
            telemetry=Telemetry(self.otlp(), logs=self.options.logs),
            body_limit=member.body_limit,
            concurrency=member.concurrency,
            deadline=member.deadline,
            grace=member.grace,
            bounds=bounds_of(member),
            fault_token=FromFile(str(fault_token(self.home))),
        )

    def environment(self, member: MemberData, name: str) -> dict[str, Source]:
        """For applications and programs as they are; a service finds everything in its launch document."""
        if member.kind == "service":
            return {}
        found: dict[str, Source] = {
            "HOST": Constant(HOST),
            "PORT": Constant(str(self.ports[name])),
            "ATOLL_SERVICE": Constant(member.name),
        }
        for call in member.calls:
            addresses = self.replicas_of(call.to)
            if addresses:
                found[f"{call.to.upper().replace('-', '_')}_URL"] = Constant(addresses[0])
        if member.database:
            found["DATABASE_URL"] = self.dsn(member)
        if member.kind == "process":
            found |= {key: Constant(value) for key, value in self.sdk(member.name, name).items()}
        found |= {key: Constant(value) for key, value in member.environment.items()}
        return found | {key: FromFile(str(self.secret_file(each))) for key, each in member.secret_environment.items()}

    def sdk(self, service: str, replica: str) -> dict[str, str]:
        """What an OpenTelemetry SDK, if the program has one, takes for its defaults."""
        return {
            "OTEL_SERVICE_NAME": service,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={replica},service.namespace={self.description.name}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.otlp(),
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }

    def otlp(self) -> str:
        return f"http://{HOST}:{self.ports[collector.NAME]}"

    def collection(self) -> Collection:
        return Collection(
            system=self.description.name,
            listen=f"{HOST}:{self.ports[collector.NAME]}",
            folder=str(self.home.telemetry),
            logs=str(self.home.logs),
            dashboard=self.dashboard(),
        )

    def dashboard(self) -> Dashboard:
        address = f"{self.options.dashboard.rpartition(':')[0] or HOST}:{self.ports[DASHBOARD]}"
        token = None if collector.is_loopback(address) else FromFile(str(self.home.dashboard_token))
        return Dashboard(listen=address, token=token, state=str(self.home.state))

    def replicas_of(self, service: str) -> tuple[str, ...]:
        to = self.description.member(service)
        if to is None:
            return ()
        if to.kind == "external":
            return (to.url,)
        numbers = range(1, _replicas(to, self.options) + 1)
        return tuple(f"http://{HOST}:{self.ports[f'{service}-{number}']}" for number in numbers)

    def dsn(self, member: MemberData) -> FromFile:
        if member.database and member.database.secret:
            return FromFile(str(self.secret_file(SecretData(member.database.secret, member.database.key))))
        return FromFile(str(self.home.secrets / f"dsn-{member.name}"))

    def secret_file(self, secret: SecretData) -> Path:
        return secret_file(self.home, secret)

    def secrets(self, members: Iterable[MemberData]) -> dict[Path, SecretData]:
        found: list[SecretData] = []
        for member in members:
            found += member.all_secrets
            if member.database and member.database.secret:
                found.append(SecretData(member.database.secret, member.database.key))
        gateway = self.description.gateway
        found += [gateway.api_keys.secret] if gateway and gateway.api_keys else []
        return {self.secret_file(secret): secret for secret in found}

    def nats_url(self) -> str:
        if self.addresses.nats:
            return without_credentials(self.addresses.nats)
        return nats.url(HOST, self.ports["nats"])

    def nats_user(self, own: str) -> str:
        """At an address everybody is who the address says."""
        return credentials(self.addresses.nats)[0] if self.addresses.nats else own

    def nats_password(self, own: str) -> FromFile:
        return FromFile(str(self.home.secrets / ("nats-address" if self.addresses.nats else f"nats-{own}")))

    def messaging(self, member: MemberData) -> Messaging | None:
        if not uses_broker(member):
            return None
        return Messaging(
            url=self.nats_url(),
            user=self.nats_user(member.name),
            password=self.nats_password(member.name),
            publishes=member.publishes,
            consumes=consumers_of(self.description.name, member),
            remembered=remembered_by(self.description, member),
        )

    def preparation(self, member: MemberData) -> Preparation | None:
        has_broker = uses_broker(member)
        if not member.database and not has_broker:
            return None
        return Preparation(
            system=self.description.name,
            service=member.name,
            dsn=self.dsn(member) if member.database else None,
            migrations=member.database.migrations if member.database else "",
            url=self.nats_url() if has_broker else "",
            user=self.nats_user(nats.ADMIN) if has_broker else "",
            password=self.nats_password(nats.ADMIN) if has_broker else None,
            streams=streams_of(self.description, member),
            consumes=consumers_of(self.description.name, member),
        )


def credentials(url: str) -> tuple[str, str]:
    """User and password of "nats://user:password@host:port"; "" where it has none."""
    user, _, password = _authority(url).rpartition("@")[0].partition(":")
    return unquote(user), unquote(password)


def without_credentials(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    return f"{scheme}{separator}{_authority(url).rpartition('@')[2]}" if separator else url


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]
