"""Every error a user can meet: number, sentence, remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, said completely.

    code: "ATL" with four digits; it never changes meaning, the wording may.
    place: "file.py:12", or "" where no file is to blame.
    has: what exists instead, most useful first.
    detail: several lines shown as they are, such as a traceback of the user's own code.
    """

    code: str
    sentence: str
    place: str = ""
    has: tuple[str, ...] = ()
    do: str = ""
    detail: str = ""

    def __str__(self) -> str:
        rows = [("at", self.place), ("has", ", ".join(self.has)), ("do", self.do)]
        lines = [f"{self.code}  {self.sentence}", *(f"         {label:<4} {text}" for label, text in rows if text)]
        lines += ["         " + line if line else "" for line in self.detail.splitlines()]
        return "\n".join(lines)


class AtollError(Exception):
    """Something went wrong that a user can mend; `problems` says what, where, and what to do."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type["AtollError"], tuple[object, ...]]:
        return (type(self), self.problems)


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the catalogue. `sentence` and `remedy` are templates filled from the same values."""

    number: int
    sentence: str
    remedy: str

    @property
    def code(self) -> str:
        return f"ATL{self.number:04}"

    def at(self, place: str = "", *, has: Iterable[str] = (), detail: str = "", **values: object) -> Problem:
        """The problem of this kind at a place of the source."""
        return Problem(
            self.code, self.sentence.format(**values), place, tuple(has), self.remedy.format(**values), detail
        )

    def error(self, place: str = "", *, has: Iterable[str] = (), detail: str = "", **values: object) -> AtollError:
        """The same as an exception with this one problem."""
        return AtollError(self.at(place, has=has, detail=detail, **values))


def fail(problems: Iterable[Problem]) -> NoReturn:
    """Raise all of them as one error."""
    raise AtollError(*problems)


# fmt: off  (a table: one row a line)
# 1xxx: the command line and the project
NO_SYSTEM = Kind(
    1001,
    "No system was found in {folder}.",
    'name one: `atoll run hello.py`, or [tool.atoll] system = "package.module:name" in pyproject.toml',
)
IMPORT_FAILED = Kind(
    1002,
    "{module} could not be imported: {reason}",
    "correct the code at the place named; the traceback is your own code's",
)
NO_SUCH_NAME = Kind(1003, "{module} has no {name!r}.", "correct the name after the colon")
NOT_A_SYSTEM = Kind(
    1004, "{target} is {what}, not a System.", "point at a System, or at a file with classes that have routes"
)
EXTRA_MISSING = Kind(1005, "`atoll {command}` needs {package}, which is not installed.", "pip install '{extra}'")
BAD_ARGUMENT = Kind(1006, "{argument}: {reason}", "{do}")
NOT_RUNNING = Kind(1007, "{system} is not running here.", "start it with `atoll run` in another terminal")
FOLDER_EXISTS = Kind(1008, "{folder} exists and is not empty.", "choose another name, or empty the folder")
NO_SUCH_PROCESS = Kind(1009, "Nothing that runs here is called {name!r}.", "name a service, or one of its processes")
NO_SUCH_TRACE = Kind(
    1010,
    "No single trace begins with {trace!r}.",
    "see `atoll traces`; spans are stored within half a second, and the oldest go",
)
NO_SUCH_OPERATION = Kind(1011, "{system} has no operation {operation!r}.", "write service.method, such as {example}")
NO_SUCH_LETTER = Kind(1012, "There is no dead letter with the number {numbers}.", "see `atoll events dead`")
UNANSWERED = Kind(1013, "{address} gave no answer: {reason}.", "see `atoll status`, and `atoll logs`")
NO_SUCH_TOPIC = Kind(1014, "{system} has no topic {topic!r}.", "name one of those that it has, or none for all")
NO_DATABASE = Kind(1015, "{name} has no database of its own.", "name a service that has one")
NO_TOKENS = Kind(
    1020,
    "The gateway of {system} accepts no tokens.",
    'give it auth=Jwt(issuer="…", audience="…", jwks="…"), then run again',
)

# 2xxx: the model
CLASHING_ROUTES = Kind(
    2001, "{first} and {second} both answer {method} {path}.", "change one path, or expose only one of them"
)
UNKNOWN_PATH_PARAMETER = Kind(
    2002,
    "{operation}: the path has {{{parameter}}}, the method has no parameter of that name.",
    "add the parameter, or correct the path",
)
BAD_PATH = Kind(2004, "{operation}: the path {path!r} {reason}.", "write it like /products/{{product_id}}")
UNREADABLE_TYPE = Kind(
    2005,
    "{operation}: {what} has the type {type}, which can't travel as JSON: {reason}.",
    "use a struct, dataclass, pydantic model, enum, date, decimal, UUID, union or container of those",
)
MISSING_ANNOTATION = Kind(2006, "{operation}: {what} has no type.", "annotate it")
TWO_BODIES = Kind(2007, "{operation} has two body parameters: {parameters}.", "make one struct of them")
BODY_NOT_ALLOWED = Kind(
    2008,
    "{operation}: {parameter} is a {type}, and {method} has no body.",
    "use post, put or patch, or plain query parameters",
)
METHOD_MISSING = Kind(
    2009,
    "{implementation} does not implement {operation}.",
    "write the method; the contract's own body is only a declaration",
)
SIGNATURE_DIFFERS = Kind(
    2010, "{implementation}.{method} differs from {operation}: {difference}.", "give both the same parameters and types"
)
UNKNOWN_DEPENDENCY = Kind(
    2011,
    "{service}: nobody provides the constructor parameter {parameter}: {type}.",
    "add a service with that contract to the system, or correct the type",
)
AMBIGUOUS_DEPENDENCY = Kind(
    2012,
    "{service}: the constructor parameter {parameter}: {type} could be any of {services}.",
    'choose one: {parameter}: Annotated[{type}, "{first}"]',
)
DUPLICATE_NAME = Kind(2013, "Two members of {system} are called {name!r}.", "rename one")
BAD_NAME = Kind(
    2014,
    "{name!r} can't name a {what}: {reason}.",
    "call it otherwise: lower-case letters, digits and hyphens, at most 40, first a letter",
)
NOT_EXPOSABLE = Kind(
    2015,
    "The gateway exposes {name!r}, which serves no route.",
    "add it to the system's services with a contract or a path, or take it out of expose",
)
TOPIC_WITHOUT_PUBLISHER = Kind(
    2104,
    "{service} consumes the topic {topic!r}, which no service publishes.",
    "correct the name, or declare @publishes(...) on the service that sends it",
)
TOPIC_WITH_TWO_PUBLISHERS = Kind(
    2105, "The topic {topic!r} is published by {services}.", "let one service publish it, or make two topics"
)
TOPIC_DIFFERS = Kind(
    2106,
    "The topic {topic!r} is declared twice with different types: {first} and {second}.",
    "declare it once, beside the contract of its publisher, and import it",
)
BAD_TOPIC_KEY = Kind(
    2107, "The topic {topic!r} has the key {key!r}, which {type} has no field for.", "name a field of the event"
)
BAD_TOPIC_BOUNDS = Kind(
    2110,
    "The topic {topic!r} can't be kept so: {reason}.",
    "give seconds and bytes, such as kept_seconds=14 * 86_400, kept_bytes=2**30",
)
BAD_HANDLER = Kind(
    2108,
    "{service}.{method} can't handle {topic!r}: {reason}.",
    "write async def {method}(self, event: {type}, tx: Transaction), or consumes(..., idempotent=True) and no transaction",
)
CONSUMER_WITHOUT_DATABASE = Kind(
    2109,
    "{service}.{method} consumes {topic!r} in a transaction, but {service} has no database.",
    "give the service database=Postgres(...), or declare consumes(..., idempotent=True)",
)
DATABASE_MISSING = Kind(
    2201,
    "{service} wants a Database, but none is declared for it.",
    "give the service database=Postgres(migrations=...)",
)
IDEMPOTENCY_WITHOUT_DATABASE = Kind(
    2202,
    "{operation} keeps idempotency keys, but {service} has no database to keep them in.",
    "give the service database=Postgres(...)",
)
SCHEDULE_WITHOUT_DATABASE = Kind(
    2203,
    "{service}.{method} runs every {seconds:g} s on one replica, which takes a lock in a database; {service} has none.",
    "give the service database=Postgres(...), or every(..., each_replica=True)",
)
MIGRATIONS_MISSING = Kind(
    2204, "{service}: the migrations folder {folder} {reason}.", "create it with a first file such as 0001_start.sql"
)
BAD_MIGRATION_NAME = Kind(
    2205,
    "{service}: {file} is not the name of a migration: {reason}.",
    "number them without a gap: 0001_name.sql, 0002_name.sql",
)
MIGRATION_EDITED = Kind(
    2206, "{service}: {file} was edited after it was applied.", "restore it, and put the change into a new migration"
)
SECRET_WITHOUT_SOURCE = Kind(
    2207,
    "{service}: the secret {secret!r} has no value here.",
    "set it in environments/local.toml under [secrets], or in the variable {variable}",
)
BAD_SETTINGS = Kind(2208, "{service}: {reason}.", "{do}")
PUBLISHER_WITHOUT_DATABASE = Kind(
    2209,
    "{service} publishes {topics}, but has neither a database for the outbox nor a Publisher.",
    "give it database=Postgres(...), or a constructor parameter of type Publisher",
)
PROGRAM_MISSING = Kind(
    2210, "{service} is left out: this machine has no {program}.", "install {program}, then run again"
)
NOT_AN_APPLICATION = Kind(
    2211,
    "{service}: {target} is {what}, neither an ASGI application nor a factory of one.",
    "point at the application, or at a function that returns it",
)
BAD_CONTRACT = Kind(
    2212,
    "{service}: {what} is no contract: it has no routes.",
    "give it methods with @get, @post, @put, @patch or @delete",
)
MISSING_CONTRACT_BODY = Kind(
    2213, "{operation} is no async method.", "write async def, or def that returns AsyncIterator[...] for a stream"
)
BAD_SLO = Kind(
    2301,
    "{service} promises what no alert can watch: {reason}.",
    "write shares from 0.5 to below 1, and a time of at most 60 s: Slo(availability=0.999, latency=(0.99, 0.2))",
)

SCOPES_WITHOUT_AUTH = Kind(
    2313,
    "{operation} asks for the scopes {scopes}, but the gateway knows no callers: nobody could ever call it.",
    "give the Gateway auth=Jwt(...) or auth=ApiKeys(...), or take the scopes away",
)
PUBLIC_WITH_SCOPES = Kind(2302, "{operation} is public, and asks for scopes.", "take one of the two away")
BAD_SCOPE = Kind(
    2303, "{where}: {scope!r} is no scope.", "write such as orders:write, without spaces, quotes and backslashes"
)
BAD_ISSUER = Kind(
    2304,
    "Tokens of the issuer {issuer!r} can't be verified: {reason}.",
    'write Jwt(issuer="https://login.example", audience="shop", jwks="https://login.example/jwks.json"), or name a file',
)
PUBLIC_NOT_EXPOSED = Kind(
    2305,
    "The gateway says that {name!r} is public, but does not expose it.",
    "add it to expose, or take it out of public",
)
PUBLIC_WITHOUT_AUTH = Kind(
    2306,
    "The gateway says who is public, but knows no callers: everything is public.",
    "give it auth=Jwt(...) or auth=ApiKeys(...), or take public away",
)
BAD_RATE_LIMIT = Kind(
    2307, "The rate limit {rate!r} can't be kept: {reason}.", 'write RateLimit("20/s", per="client"), per s, min or h'
)
TWO_RATE_LIMITS = Kind(2308, "The gateway has two rate limits per {per}.", "keep one of each kind")
TOKEN_LIMIT_WITHOUT_AUTH = Kind(
    2309,
    "The rate limit {rate!r} is per token, but the gateway knows no callers.",
    'give the Gateway auth=Jwt(...) or auth=ApiKeys(...), or limit per="client"',
)
BAD_CORS = Kind(
    2310, "The gateway's cors can't be kept: {reason}.", 'write such as Cors(origins=["https://shop.example"])'
)
BAD_GATEWAY_LIMIT = Kind(
    2311, "The gateway's limit of {what} is {value} bytes.", "choose a number from {least} to {most}"
)
BAD_API_KEYS = Kind(2312, "The gateway's API keys can't be checked: {reason}.", "{do}")

# 3xxx: a service process
NO_LAUNCH = Kind(
    3001, "{source} is not a launch document: {reason}.", "start services with `atoll run` or the generated manifests"
)
PORT_TAKEN = Kind(3002, "Port {port} is taken.", "end the process that listens there, or choose another port")
START_FAILED = Kind(3003, "{service} could not start: {reason}", "correct the code at the place named")
DATABASE_UNREACHABLE = Kind(
    3201, "The database of {service} can't be reached: {reason}.", "see `atoll status`: is postgres up?"
)
MIGRATION_FAILED = Kind(
    3202,
    "{service}: migration {file} failed: {reason}; the database is as it was before this file.",
    "correct the file; it has not been recorded as applied",
)
QUERY_FAILED = Kind(3203, "The database refused a query: {reason}.", "correct the query")
ROW_UNREADABLE = Kind(
    3204, "A row can't become a {type}: {reason}.", "select columns with the names and types of its fields"
)
TRANSACTION_CLOSED = Kind(3205, "The transaction is over.", "use it inside its `async with` block only")
QUERY_TIMEOUT = Kind(
    3206,
    "The time ran out: {reason}.",
    "make the query faster, see its span in `atoll traces`, or give the call longer",
)
CONSTRAINT_VIOLATED = Kind(
    3207,
    "The constraint {constraint} of {table} refused a row.",
    "catch ConstraintViolated where the caller can be told what to do",
)
MIGRATION_STOPPED = Kind(
    3208,
    "{service}: migration {file}, which runs without a transaction, failed: {reason}; what stands before took effect.",
    "correct the file so that all of it can run again (IF NOT EXISTS); it has not been recorded as applied",
)
MIGRATION_LOCKED = Kind(
    3209,
    "{service}: another process has been migrating the database for {seconds:g} s.",
    "wait for it, or end it if it hangs: SELECT * FROM pg_stat_activity WHERE application_name LIKE 'atoll%'",
)
MIGRATION_UNFIT = Kind(3210, "{service}: migration {file} {reason}.", "{do}")
UNDECLARED_TOPIC = Kind(
    3301,
    "{service} publishes {topic!r}, but does not declare it.",
    "add @publishes(...) with this topic to the service class",
)
BAD_EVENT = Kind(3302, "{topic!r}: {reason}.", "publish a value of the topic's type")
BROKER_UNREACHABLE = Kind(3303, "NATS can't be reached: {reason}.", "see `atoll status`: is nats up?")
EVENT_UNCONFIRMED = Kind(
    3304,
    "An event of {topic!r} was not confirmed: {reason}; it may or may not be stored.",
    "publish it again with the same event_id; see `atoll status` for nats",
)
KEY_REUSED = Kind(3401, "This Idempotency-Key was used with a different request.", "use a new key for a new request")
KEY_RUNNING = Kind(
    3402, "A request with this Idempotency-Key is still running.", "wait, then ask again with the same key"
)
BAD_KEY = Kind(
    3403, "The Idempotency-Key is empty, over {limit} bytes, or not printable.", "send a UUID, new for each request"
)
ANSWER_TOO_LARGE = Kind(
    3404,
    "An answer of {size} bytes can't be kept under its Idempotency-Key: {limit} is the most.",
    "answer with less, for example with an id that the caller can look up",
)
TOO_MANY_KEYS = Kind(
    3405, "{limit} requests with an Idempotency-Key are running here.", "ask again later with the same key"
)

# 4xxx: engines and the supervisor
ENGINE_MISSING = Kind(
    4001,
    "{engine} is not installed: {reason}.",
    "pip install 'atoll[local]', or give its address in environments/local.toml",
)
ENGINE_FAILED = Kind(4002, "{engine} did not start: {reason}.", "read {log}")
ALREADY_RUNNING = Kind(
    4003,
    "{system} already runs in this folder (process {pid}).",
    "stop that run first, or use `atoll status` and `atoll logs` to look at it",
)
NO_FREE_PORT = Kind(
    4004, "Port {port} for {what} is taken by another program.", "stop that program, or choose another with {option}"
)
PREPARATION_FAILED = Kind(4005, "{service} could not be prepared: {reason}.", "correct what is named, then run again")
NO_UNPRIVILEGED_USER = Kind(
    4006,
    "PostgreSQL refuses to run as root, and this machine has no user {user!r} to run it as.",
    "run atoll as an ordinary user, or give a database address in environments/local.toml",
)
ENGINE_STATE_FOREIGN = Kind(
    4007,
    "{folder} was made by {found}, this is {wanted}.",
    "move the folder away to start afresh, or install the version that made it",
)
ENGINE_STATE_INCOMPLETE = Kind(
    4008, "{folder} lacks {what}.", "restore it, or remove {folder} to start with empty databases"
)
NOT_READY = Kind(4020, "{system} is not ready after {seconds:g} s.", "read the logs in {folder}")
FAULT_IMPOSSIBLE = Kind(
    4010,
    "{name} can't be told to fail: {reason}.",
    "`atoll fault {name} kill` ends it; errors= and latency= go into who calls it",
)
MONITORING_MISSING = Kind(
    4011,
    "`atoll run --prometheus` needs {program}, which this machine has not.",
    "install it: apt install prometheus prometheus-alertmanager, or brew install prometheus alertmanager",
)
ENGINE_UNUSABLE = Kind(4009, "{engine} at {address} can't be used: {reason}.", "{do}")

# 5xxx: images and clusters
BAD_ENVIRONMENT = Kind(5001, "{entry} {reason}.", "{do} (docs/reference/environments.md lists all entries)")
BAD_LOCK = Kind(5002, "The lock can't be used: {reason}.", "{do}")
WHEELS_FAILED = Kind(
    5003, "The packages of {lock} could not be fetched: {reason}.", "see above what pip says; each needs a wheel"
)
BUILDER_MISSING = Kind(
    5004,
    "Neither docker nor buildah was found to build images with.",
    "install one of them, or name another place with --builder /path/to/docker",
)
BUILD_FAILED = Kind(
    5005, "The image of {service} could not be built: {reason}.", "see its last lines; all of them are in {log}"
)
NO_DOCKERFILE = Kind(
    5006,
    "{service} has neither a Dockerfile nor a package.json in {folder}.",
    "write a Dockerfile there: atoll makes those of Python and Node.js services only",
)
BUILDER_UNUSABLE = Kind(
    5012, "{program} can't be used: {reason}.", "start its daemon, or name another program with --builder"
)
NPM_FAILED = Kind(5009, "The packages of {service} could not be fetched: {reason}.", "{do}")
UNPINNED = Kind(
    5010,
    "{file} has no digest of {image}, which images are to be made from or run.",
    "run `atoll build --pin`: it asks the registry, and writes all that are needed",
)
BAD_PINS = Kind(5011, "{file} can't be used: {reason}.", "make it anew: `atoll build --pin`")
NO_ENVIRONMENT = Kind(
    5013, "There is no environments/{name}.toml beside the system file.", "correct the name, or write the file"
)
LOCAL_ENVIRONMENT = Kind(
    5016,
    "environments/local.toml is this machine's own, with values of secrets: no image, cluster or Compose is made from it.",
    "name another environment: -e production has the usual values where it has no file",
)
OBJECT_TOO_LARGE = Kind(
    5014,
    "The ConfigMap {name} has {size} bytes; a cluster takes {most}.",
    "split the system in two, or expose fewer services at one gateway",
)
SECRET_FILE = Kind(
    5015,
    "{file} would be in the image of {service}, and it {reason}.",
    'move it, or let .gitignore name it; if it is meant to be there: include = ["{file}"] under [images]',
)
PIP_MISSING = Kind(
    5017,
    "{python} has no pip, which fetches the packages of images.",
    "put it there: uv pip install 'atoll[kubernetes]', which it is a part of, or {python} -m ensurepip",
)
NO_SUCH_SERVICE = Kind(5007, "The system has no service {name!r}.", "name one of those that it has")
CLUSTER_UNREACHABLE = Kind(
    5101,
    "The cluster at {address} can't be reached: {reason}.",
    "see `kubectl cluster-info`; KUBECONFIG and [cluster] context say which cluster it is",
)
NO_DASHBOARD = Kind(
    5115,
    "No dashboard runs in {namespace}.",
    "atoll build --push --with-dashboard, then atoll deploy --with-dashboard -e {environment}",
)
CLUSTER_FORBIDS = Kind(
    5102,
    "The cluster does not allow {what}: {reason}.",
    "ask who runs the cluster for that right (docs/how-to/deploy.md lists all)",
)
CLUSTER_REFUSED = Kind(5103, "The cluster refuses {what}: {reason}.", "correct the declaration or the environment")
ROLLOUT_FAILED = Kind(5104, "{name} does not come up: {reason}.", "{do}")
CLUSTER_TOO_OLD = Kind(
    5117,
    "The cluster runs Kubernetes {version}; what is deployed needs {oldest} or later.",
    "upgrade the cluster, or name another: [cluster] context",
)
SECRETS_MISSING = Kind(
    5105,
    "The namespace {namespace} has no Secret {secret!r} with the key {key!r}.",
    "kubectl -n {namespace} create secret generic {secret} --from-literal={key}=…, or let atoll make it: "
    '[secrets] {declared} = "generate"',
)
BREAKS_CONSUMER = Kind(
    5106,
    "{service} would break {consumer}, which is deployed: {reason}.",
    "keep what {consumer} uses, or deploy a {consumer} first that does without it; --breaking deploys all the same",
)
LACKS_PROVIDER = Kind(
    5114,
    "{consumer} would break at {service} as it is deployed: {reason}.",
    "deploy {service} first, or both: `atoll deploy {service} {consumer}`; --breaking deploys all the same",
)
NOT_DEPLOYED = Kind(
    5108,
    "{system} is not deployed in the namespace {namespace}.",
    "deploy it: `atoll deploy`, or name another environment",
)
NO_REVISION = Kind(5107, "{system} has no revision {wanted} in the namespace {namespace}.", "name one that it has")
DEPLOYING = Kind(
    5109,
    "{system} is being deployed to the namespace {namespace} by {who}, since {since}.",
    "wait until that ends; --force takes over from it",
)
TAKEN_OVER = Kind(
    5110,
    "Another took over what is deployed to the namespace {namespace}: this has stopped halfway.",
    "see what it brings: `atoll status`; then deploy again, or `atoll rollback`",
)
DEPLOYED_MEANWHILE = Kind(
    5111,
    "Another changed {system} in the namespace {namespace} meanwhile: revision {number} is the last there.",
    "see what it is like: `atoll status`; then do the same again: what changes is worked out anew",
)
NEVER_WHOLE = Kind(
    5112,
    "{services} alone can't work in the namespace {namespace}: {system} was never deployed to it as a whole.",
    "deploy all of it first: `atoll deploy`",
)
VOLUME_FIXED = Kind(5113, "The volume {claim} has {there}, and can't get {wanted}: {reason}.", "{do}")
OF_ANOTHER = Kind(
    5118,
    "The namespace {namespace} has {names} of {owner}; {system} has the same names, and takes nothing over.",
    "name another namespace: [cluster] namespace; or give each up to it: kubectl -n {namespace} label --overwrite "
    "{first} app.kubernetes.io/part-of={system} app.kubernetes.io/managed-by=atoll",
)
FAULTS_NOT_ALLOWED = Kind(
    5120,
    "What is deployed to {namespace} takes no orders to fail.",
    "write [faults] allowed = true into environments/{environment}.toml, and deploy; production is better left alone",
)
FAULT_REFUSED = Kind(5121, "{pod} can't be told to fail: {reason}.", "{do}")
REGISTRY_FAILED = Kind(5008, "{reference} could not be found at its registry: {reason}.", "{do}")

# fmt: on


class CallFailed(AtollError):
    """A call to another service gave no answer that its contract declares.

    service, operation: who was called, for example "payment", "charge".
    may_have_happened: False when the callee can't have acted on the call, so that it may be made again
    whatever it does; True when nothing may be concluded.
    below: the callee is well, and tells that a service it needs failed.
    """

    number = 3100
    may_have_happened = True
    below = False
    remedy = "make it again only if the operation is idempotent; nothing may be concluded about its effect"

    def __init__(self, service: str, operation: str, reason: str) -> None:
        self.service, self.operation, self.reason = service, operation, reason
        super().__init__(Problem(f"ATL{self.number}", f"{service}.{operation}: {reason}.", do=self.remedy))

    def __reduce__(self) -> tuple[type[AtollError], tuple[object, ...]]:
        return (type(self), (self.service, self.operation, self.reason))


class Unreachable(CallFailed):
    """No byte was sent: no replica took the connection."""

    number = 3101
    may_have_happened = False
    remedy = "see `atoll status` for the callee; the call had no effect and may be made again"


class CircuitOpen(Unreachable):
    """The circuit breaker of this destination is open; nothing was sent."""

    number = 3102
    remedy = "the callee failed too often just now; the breaker tries again by itself"


class Refused(CallFailed):
    """The callee, or this process's own bulkhead, was too busy and declined to act (429, 503)."""

    number = 3103
    may_have_happened = False
    remedy = "slow down; the call had no effect and may be made again later"


class DeadlineExceeded(CallFailed):
    """The time ran out before the answer was there."""

    number = 3104


class ConnectionLost(CallFailed):
    """The connection ended after the request was sent and before the answer was whole."""

    number = 3105


class ServerFailed(CallFailed):
    """The callee answered with an error that its contract does not declare."""

    number = 3106
    remedy = "look at the callee's log with the same trace id; its effect is unknown"

    def __init__(self, service: str, operation: str, reason: str, status: int = 500) -> None:
        super().__init__(service, operation, reason)
        self.status = status

    def __reduce__(self) -> tuple[type[AtollError], tuple[object, ...]]:
        return (type(self), (self.service, self.operation, self.reason, self.status))


class BadAnswer(CallFailed):
    """The callee answered with something its contract does not allow."""

    number = 3107
    remedy = "the two sides have different contracts; deploy compatible versions. The call was carried out"


class DatabaseError(AtollError):
    """The database could not do what was asked; `sqlstate` is PostgreSQL's code, "" without an answer."""

    def __init__(self, *problems: Problem, sqlstate: str = "") -> None:
        super().__init__(*problems)
        self.sqlstate = sqlstate


class DatabaseUnreachable(DatabaseError):
    """No connection to the database; a statement under way may or may not have been carried out."""


class QueryFailed(DatabaseError):
    """PostgreSQL refused the statement; the transaction it was in is over."""


class ConstraintViolated(QueryFailed):
    """A unique, foreign key, check or not-null constraint refused the row; `constraint` is its name."""

    def __init__(self, *problems: Problem, sqlstate: str = "", constraint: str = "") -> None:
        super().__init__(*problems, sqlstate=sqlstate)
        self.constraint = constraint


class QueryTimeout(DatabaseError):
    """The caller's deadline passed; PostgreSQL was told to cancel the statement."""


class EventError(AtollError):
    """An event could not be published."""
