"""References become what they stand for in a cluster: DNS names, variables that Secrets fill, mounted files."""

import msgspec

from atoll.engines import nats
from atoll.engines.declared import bounds_of, consumers_of, remembered_by, streams_of, uses_broker
from atoll.kubernetes.names import (
    CODE,
    COLLECTOR,
    NATS,
    NATS_PORT,
    Object,
    Target,
    admin_port_of,
    headless,
    port_of,
)
from atoll.model.launch import BrokerTo, CallTo, DatabaseTo, Launch, Messaging, Preparation, Telemetry
from atoll.model.references import FromEnvironment
from atoll.wire.description import MemberData

DATABASE_URL = "DATABASE_URL"
NATS_PASSWORD = "NATS_PASSWORD"  # noqa: S105 - a variable's name
OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
DSN_KEY = "url"
FAULT_TOKEN = "FAULT_TOKEN"  # noqa: S105 - a variable's name
FAULT_SECRET = ("faults", "token")
"""The Secret and key of who may tell processes to fail on purpose."""
PASSWORD_KEY = "password"  # noqa: S105 - a key's name


def launch(target: Target, member: MemberData) -> Launch:
    """The document that every replica of the member is started with."""
    return Launch(
        system=target.system,
        service=member.name,
        replica="",
        kind="asgi" if member.kind == "asgi" else "service",
        target=member.target,
        import_path=tuple(in_image(target, each) for each in target.description.import_path),
        path=member.path or "/",
        listen=f"0.0.0.0:{port_of(member)}",
        admin=f"0.0.0.0:{admin_port_of(member)}",
        calls=tuple(
            CallTo(call.parameter, call.contract, call.to, _addresses(target, call.to)) for call in member.calls
        ),
        database=DatabaseTo(FromEnvironment(DATABASE_URL), member.database.connections) if member.database else None,
        messaging=_messaging(target, member),
        settings=member.settings,
        secrets={field: FromEnvironment(variable_of(field)) for field in member.secrets},
        telemetry=_telemetry(target),
        body_limit=member.body_limit,
        concurrency=member.concurrency,
        deadline=member.deadline,
        grace=member.grace,
        bounds=bounds_of(member),
        fault_token=FromEnvironment(FAULT_TOKEN) if target.environment.faults.allowed else None,
    )


def preparation(target: Target, member: MemberData) -> Preparation | None:
    """What its Job makes ready before it starts; None if there is nothing."""
    has_broker = uses_broker(member)
    if not member.database and not has_broker:
        return None
    user, _ = _broker_admin(target)
    return Preparation(
        system=target.system,
        service=member.name,
        dsn=FromEnvironment(DATABASE_URL) if member.database else None,
        migrations=in_image(target, member.database.migrations) if member.database else "",
        url=_broker_url(target) if has_broker else "",
        user=user if has_broker else "",
        password=FromEnvironment(NATS_PASSWORD) if has_broker else None,
        streams=streams_of(target.description, member),
        consumes=consumers_of(target.system, member),
    )


def document(value: msgspec.Struct) -> str:
    """As it stands in a ConfigMap."""
    return msgspec.json.format(msgspec.json.encode(value)).decode() + "\n"


def in_image(target: Target, path: str) -> str:
    """Where a file or folder of the project is found in an image; "" stays ""."""
    root = project_of(target)
    is_ours = path == root or path.startswith(f"{root}/")
    return f"{CODE}{path.removeprefix(root)}" if is_ours else path


def project_of(target: Target) -> str:
    """The folder that becomes CODE."""
    return target.description.import_path[0].rstrip("/")


def variable_of(field: str) -> str:
    """The variable that holds a secret field of the settings."""
    return f"SECRET_{field.upper()}"


def variables(target: Target, member: MemberData) -> list[Object]:
    """The environment of its container: what we set, and what is declared for it and in the environment."""
    own = {name: _variable(name, value) for name, value in member.environment.items()}
    for name, secret in member.secret_environment.items():
        own[name] = from_secret(name, target.secret(secret.name), secret.key)
    for name, given in target.wanted(member).environment.items():
        own[name] = _variable(name, given) if isinstance(given, str) else from_secret(name, given.secret, given.key)
    return [*set_variables(target, member), *own.values()]


def set_variables(target: Target, member: MemberData) -> list[Object]:
    """What an application or program looks for, and the secrets that it reads."""
    found: list[Object] = []
    if member.kind != "service":
        found += [
            _variable("HOST", "0.0.0.0"),  # noqa: S104 - a pod has its own network
            _variable("PORT", str(port_of(member))),
            _variable("ATOLL_SERVICE", member.name),
        ]
        for call in member.calls:
            address = _balanced(target, call.to)
            if address:
                found.append(_variable(f"{call.to.upper().replace('-', '_')}_URL", address))
    if member.database:
        found.append(database_url(target, member))
    if uses_broker(member):
        user_secret = _broker_user_secret(target, member)
        found.append(from_secret(NATS_PASSWORD, *user_secret))
    for field, secret in member.secrets.items():
        found.append(from_secret(variable_of(field), target.secret(secret.name), secret.key))
    if target.environment.faults.allowed and member.kind != "process":
        found.append(from_secret(FAULT_TOKEN, *FAULT_SECRET))
    return [*found, *_telemetry_variables(target, member)]


def preparation_variables(target: Target, member: MemberData) -> list[Object]:
    """Of the Job: the database as its owner, the broker as who may make streams."""
    found = [database_url(target, member)] if member.database else []
    if uses_broker(member):
        _, secret = _broker_admin(target)
        found.append(from_secret(NATS_PASSWORD, *secret))
    return found


def database_url(target: Target, member: MemberData) -> Object:
    return from_secret(DATABASE_URL, *dsn_secret(target, member))


def dsn_secret(target: Target, member: MemberData) -> tuple[str, str]:
    """The Secret and the key with the DSN of the member's database."""
    assert member.database is not None
    if member.database.secret:
        return target.secret(member.database.secret), member.database.key
    return f"{member.name}-database", DSN_KEY


def nats_secret(user: str) -> str:
    """The Secret with a user's password at the broker inside."""
    return f"{NATS}-{user}"


def _messaging(target: Target, member: MemberData) -> Messaging | None:
    if not uses_broker(member):
        return None
    outside = target.environment.engines.nats
    return Messaging(
        url=_broker_url(target),
        user=outside.user if outside.address else member.name,
        password=FromEnvironment(NATS_PASSWORD),
        publishes=member.publishes,
        consumes=consumers_of(target.system, member),
        remembered=remembered_by(target.description, member),
    )


def _broker_url(target: Target) -> str:
    return target.environment.engines.nats.address or nats.url(NATS, NATS_PORT)


def _broker_admin(target: Target) -> tuple[str, tuple[str, str]]:
    """Who may make streams, and the Secret and key of the password."""
    outside = target.environment.engines.nats
    if outside.address:
        return outside.user, (outside.secret, outside.key)
    return nats.ADMIN, (nats_secret(nats.ADMIN), PASSWORD_KEY)


def broker_to(target: Target) -> BrokerTo | None:
    """As whom the dashboard looks at events; None where it does not. Its password is in NATS_PASSWORD."""
    if not target.looks_at_events:
        return None
    outside = target.environment.engines.nats
    return BrokerTo(_broker_url(target), outside.user if outside.address else COLLECTOR, FromEnvironment(NATS_PASSWORD))


def broker_password(target: Target) -> Object:
    """The variable of the dashboard's password at the broker."""
    outside = target.environment.engines.nats
    secret = (outside.secret, outside.key) if outside.address else (nats_secret(COLLECTOR), PASSWORD_KEY)
    return from_secret(NATS_PASSWORD, *secret)


def _broker_user_secret(target: Target, member: MemberData) -> tuple[str, str]:
    outside = target.environment.engines.nats
    return (outside.secret, outside.key) if outside.address else (nats_secret(member.name), PASSWORD_KEY)


def _telemetry(target: Target) -> Telemetry:
    """Our own collector reads log lines by itself where it can; whoever else takes telemetry is sent them."""
    wanted = target.environment.telemetry
    is_elsewhere = bool(target.otlp) and not wanted.collector
    headers = FromEnvironment(OTLP_HEADERS) if is_elsewhere and wanted.secret else None
    sends_logs = bool(target.otlp) and not (wanted.collector and target.reads_output)
    return Telemetry(target.otlp, headers, sends_logs=sends_logs)


def _telemetry_variables(target: Target, member: MemberData) -> list[Object]:
    """What an OpenTelemetry SDK in a program takes for its defaults, and the secret headers."""
    if not target.otlp:
        return []
    found: list[Object] = []
    if member.kind == "process":
        found += [
            _variable("OTEL_SERVICE_NAME", member.name),
            _variable("OTEL_EXPORTER_OTLP_ENDPOINT", target.otlp),
            _variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ]
    wanted = target.environment.telemetry
    if wanted.secret and not wanted.collector:
        found.append(from_secret(OTLP_HEADERS, wanted.secret, wanted.key))
    return found


def _addresses(target: Target, service: str) -> tuple[str, ...]:
    """Where a service finds another one: every ready pod by itself, for it balances better than a packet filter."""
    to = target.member(service)
    if to is None:
        return ()
    return (to.url,) if to.kind == "external" else (f"http://{headless(service)}:{port_of(to)}",)


def _balanced(target: Target, service: str) -> str:
    to = target.member(service)
    if to is None:
        return ""
    return to.url if to.kind == "external" else f"http://{service}:{port_of(to)}"


def _variable(name: str, value: str) -> Object:
    return {"name": name, "value": value}


def from_secret(name: str, secret: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
