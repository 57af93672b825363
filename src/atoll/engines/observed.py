"""A system as its Prometheus sees it, and which commands look at it where it runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from atoll.engines.pace import Pace
from atoll.wire.description import Description, MemberData


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where one of perhaps several environments runs that the same Prometheus watches.

    environment: as commands are told it, with -e. dashboard: whether it has one.
    """

    namespace: str
    environment: str
    dashboard: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """A system as its Prometheus sees it.

    engines: those that are asked for figures; of an engine by its address somebody else takes care.
    cluster: None on one machine, where the supervisor starts the processes and Prometheus reads nobody else's.
    """

    description: Description
    pace: Pace
    engines: tuple[str, ...] = ()
    cluster: Cluster | None = None

    @property
    def system(self) -> str:
        return self.description.name

    @property
    def namespace(self) -> str:
        return self.cluster.namespace if self.cluster else ""

    @property
    def labels(self) -> Mapping[str, str]:
        """What tells it from what is called the same."""
        return {"namespace": self.namespace} if self.cluster else {}

    @property
    def all_jobs(self) -> str:
        """Matchers of everything that is measured."""
        return ",".join([f'job=~"{self.system}/.+"', *matchers(self.labels)])

    def job(self, name: str) -> str:
        """Matchers of one of its jobs."""
        return ",".join(matchers({"job": job_of(self.system, name), **self.labels}))

    def measured(self) -> Iterator[MemberData]:
        """The members that have figures of their own."""
        return (each for each in self.description.members if each.kind in ("service", "asgi"))

    # What whoever is told of an alert may do about it.

    @property
    def status(self) -> str:
        return self._command("status")

    def logs(self, name: str = "") -> str:
        """Of a service, or of all."""
        return self._command("logs", name)

    def look(self, name: str) -> str:
        """Where the failures of a service can be seen."""
        if self.cluster is None:
            return f"`atoll traces`, {self.logs(name)}"
        return f"{self._command('dashboard')}, {self.logs(name)}" if self.cluster.dashboard else self.logs(name)

    @property
    def last_words(self) -> str:
        """Of a process that ended."""
        if self.cluster is None:
            return self.logs()
        return f"`kubectl -n {self.namespace} logs --previous {{{{ or $labels.pod $labels.instance }}}}`"

    @property
    def dead_letters(self) -> str:
        if self.cluster is None:
            return "See `atoll events dead`; when the reason is gone, `atoll events redrive`."
        where = f"the page of events of {self._command('dashboard')}"
        if self.cluster.dashboard:
            return f"See {where}; when the reason is gone, it sends them again."
        deploy = f"`atoll deploy -e {self.cluster.environment} --with-dashboard`"
        return f"See {self.logs()}. After {deploy} {where} shows them, and sends them again."

    def _command(self, name: str, argument: str = "") -> str:
        where = f" -e {self.cluster.environment}" if self.cluster else ""
        return f"`atoll {name}{where}{f' {argument}' if argument else ''}`"


def job_of(system: str, service: str) -> str:
    """The label `job` of a service: its namespace and name, as OpenTelemetry has it."""
    return f"{system}/{service}"


def matchers(labels: Mapping[str, str]) -> list[str]:
    """As a selector of Prometheus has them."""
    return [f'{name}="{value}"' for name, value in labels.items()]
