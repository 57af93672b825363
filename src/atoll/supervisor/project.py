"""What was asked to run, from the declaration to a plan with everything the machine adds."""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from atoll.engines.alertmanager import Receivers
from atoll.engines.pace import Pace
from atoll.errors import MONITORING_MISSING, AtollError
from atoll.supervisor import children
from atoll.supervisor.children import Python, problem_of
from atoll.supervisor.engines import missing_engines
from atoll.supervisor.environment import Monitoring, read_environment
from atoll.supervisor.home import Home
from atoll.supervisor.install import find_certificates, issuer_keys, make_folders
from atoll.supervisor.plan import Options, Plan, Watching, plan, ports_needed, programs_needed, unknown_replicas
from atoll.supervisor.ports import Holding, choose_ports
from atoll.supervisor.process import Spawn, execute
from atoll.supervisor.resolve import with_own_databases, write_secrets
from atoll.wire.description import Description


@dataclass(frozen=True, slots=True)
class Project:
    """A system in a folder.

    target: "package.module:name", "file.py" or "file.py:name". folder: where it is imported from.
    namespace: keeps its state apart from that of others, such as "test"; "" is the usual one.
    fresh: forget what earlier runs in the namespace have kept, data included.
    """

    target: str
    folder: Path
    python: Python
    options: Options = field(default_factory=Options)
    namespace: str = ""
    fresh: bool = False

    async def describe(self, spawn: Spawn = execute) -> Description:
        """The declaration, read by a child. Raises AtollError with all that is wrong in it."""
        description = await children.describe(self.python, self.target, self.folder, spawn)
        wrong = [problem_of(each) for each in description.problems] or unknown_replicas(description, self.options)
        if wrong:
            raise AtollError(*wrong)
        return description

    def plan(self, description: Description, home: Home, holding: Holding, running: Plan | None = None) -> Plan:
        """What has to run. Makes the folders and writes the secrets.

        holding: of the run. running: keeps its ports where it uses them already.
        Raises AtollError: NO_FREE_PORT, ENGINE_MISSING, MONITORING_MISSING, SECRET_WITHOUT_SOURCE, BAD_ARGUMENT.
        """
        make_folders(home)
        (home.state / "launch").mkdir(exist_ok=True)
        environment = read_environment(Path(description.folder))
        description = with_own_databases(description, environment, self.python.variables)
        wishes = ports_needed(description, self.options, environment.engines)
        ports = choose_ports(wishes, home.state, running.ports if running else {}, holding)
        path = self.python.variables.get("PATH")
        programs = {
            program: found
            for program, member in programs_needed(description).items()
            if (found := _find(program, Path(member.directory), path))
        }
        watching = self._watching(environment.monitoring) if self.options.prometheus else None
        made = plan(description, home, self.options, environment.engines, ports, programs, watching)
        forwarded = msgspec.structs.replace(made.collection, forward=environment.forward)
        made = replace(made, collection=forwarded)
        if description.gateway and description.gateway.issuers:
            certificates = find_certificates(self.python.variables)
            made = replace(made, local_keys=issuer_keys(home.secrets), certificates=certificates)
        missing_engines(made)
        write_secrets(made, environment, self.python.variables)
        return made

    def _watching(self, wanted: Monitoring) -> Watching:
        """Prometheus and Alertmanager, which Debian calls by another name. Raises MONITORING_MISSING."""
        path = self.python.variables.get("PATH")
        found: dict[str, Path] = {}
        for names in (("prometheus",), ("alertmanager", "prometheus-alertmanager")):
            program = next((each for name in names if (each := shutil.which(name, path=path))), None)
            if program is None:
                raise MONITORING_MISSING.error(program=names[0])
            found[names[0]] = Path(program)
        receivers = Receivers(wanted.page, wanted.ticket)
        return Watching(found["prometheus"], found["alertmanager"], Pace(wanted.scale), receivers)


def root_of(name: str, folder: Path) -> Path | None:
    """The folder in which the first package or file of "package.module:name" is; None if it is not here."""
    first = name.partition(":")[0].partition(".")[0]
    for root in (folder, folder / "src"):
        if (root / first).is_dir() or (root / f"{first}.py").is_file():
            return root
    return None


def system_folder(target: str, folder: Path) -> Path:
    """The folder of the system file, where its state is kept."""
    module = target.partition(":")[0]
    if module.endswith(".py"):
        return (folder / module).resolve().parent
    file = (root_of(target, folder) or folder).joinpath(*module.split("."))
    return file if (file / "__init__.py").is_file() else file.parent


def _find(program: str, directory: Path, path: str | None) -> str | None:
    """A program beside the member, when written with a slash, or on the PATH."""
    if "/" in program:
        return shutil.which(str(directory / program))
    return shutil.which(program, path=path)
