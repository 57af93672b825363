"""Runs a system on this machine: observes its processes, decides, and does what was decided."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import assert_never

from atoll.engines.engine import Readiness
from atoll.errors import AtollError, Problem
from atoll.supervisor import control
from atoll.supervisor.changes import Effect, is_relevant, watched_folders
from atoll.supervisor.decide import GATEWAY, Action, Decision, Prepare, Start, Stop, decide
from atoll.supervisor.declaration import Declaration
from atoll.supervisor.engines import Engines
from atoll.supervisor.faults import FaultAsked, Faults
from atoll.supervisor.following import Following
from atoll.supervisor.forkserver import Starter
from atoll.supervisor.health import follow
from atoll.supervisor.home import Home
from atoll.supervisor.logs import Line, LogHub, last_words
from atoll.supervisor.monitoring import Monitoring
from atoll.supervisor.plan import Plan, ServiceProcess, home_of, planned
from atoll.supervisor.preparation import prepare
from atoll.supervisor.process import Exit, Process
from atoll.supervisor.processes import identity
from atoll.supervisor.project import Project
from atoll.supervisor.record import Run, RunRecord, child_of
from atoll.supervisor.remembered import recall
from atoll.supervisor.services import Services
from atoll.supervisor.state import (
    Changed,
    Ended,
    Known,
    Observation,
    PreparationBegan,
    PreparationEnded,
    StartBegan,
    Started,
    StopAsked,
    SystemStops,
    after,
)
from atoll.supervisor.status import Status, addresses, is_ready, named, news, rows, serving, watching
from atoll.supervisor.watch import watch
from atoll.wire.description import Description

OURSELVES = "atoll"
_FOLLOWS_WITHIN = 2.0
_VERIFY_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class _Running:
    """A process that runs. port: where its health is asked for."""

    process: Process
    port: int


class Supervisor:
    """One run of a system, from the first process to the last.

    run: the right to run here; it is released at the end. began: when the command was given, in the loop's time.
    is_recalled: the plan was made from a declaration that is still to be read.
    """

    def __init__(
        self, project: Project, plan: Plan, run: Run, starter: Starter, began: float, *, is_recalled: bool
    ) -> None:
        self._project = project
        self._plan = plan
        self._run = run
        self._began = began
        self._is_recalled = is_recalled
        self._now = asyncio.get_running_loop().time
        self._hub = LogHub()
        self._sockets = control.sockets_folder(plan.home.state)
        self._engines = Engines(plan.home, self._sockets)
        self._starter = starter
        self._declaration = Declaration(project, starter.spawn, run.ports)
        self._faults = Faults(plan.home)
        self._services = Services(plan.home, project.python, starter.spawn, self._faults)
        self._known = after(Known(), planned(plan), began)
        self._seen: asyncio.Queue[Observation] = asyncio.Queue()
        self._running: dict[int, _Running] = {}
        self._decision = Decision()
        self._gateway = Following(plan, self._engines.places)
        self._monitoring = Monitoring(plan, self._engines, self.status)
        self._asking = False
        self._ready_after: float | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._reloading = asyncio.Lock()

    # --- what others ask

    @property
    def description(self) -> Description:
        return self._plan.description

    def status(self) -> Status:
        plan = self._plan
        admins = {each.process.name: each.port for each in self._running.values()}
        return Status(
            system=plan.description.name,
            pid=self._run.record.pid,
            folder=str(self._project.folder),
            state=str(plan.home.state),
            target=self._project.target,
            url=plan.url,
            ready=self._is_ready(),
            seconds_to_ready=self._ready_after,
            addresses=addresses(plan),
            processes=rows(self._known, plan, self._decision, admins, self._faults.shown, self._now()),
            problems=self._declaration.problems,
            watching=watching(plan),
        )

    def follow(self) -> AsyncIterator[Line]:
        """The lines of all processes from now on."""
        return self._hub.follow()

    async def changes(self) -> AsyncIterator[Status]:
        """The status, at once and whenever it is another, until the run is over."""
        while not self._decision.finished:
            changed = self._changed
            yield self.status()
            await changed.wait()
        yield self.status()

    def restart(self, name: str) -> tuple[str, ...]:
        """Replace the processes of a service, or the service of a process. Raises NO_SUCH_PROCESS."""
        services = {each.service for each in named(self._known, name)}
        self._see(Changed(frozenset(services), "restarted by hand"))
        return tuple(each.name for service in services for each in self._known.of(service))

    async def fault(self, asked: FaultAsked) -> tuple[str, ...]:
        """Let processes fail on purpose; their names. Raises NO_SUCH_PROCESS, FAULT_IMPOSSIBLE."""
        names = await self._faults.order(asked, self._known, self._plan, tuple(self._running.values()))
        self._notify()
        return names

    def stop(self) -> None:
        """Stop everything in order; called again, at once."""
        if not self._known.stopping:
            self._see(SystemStops())
            return
        for each in self._running.values():
            each.process.signal("SIGKILL")

    # --- the loop

    async def run(self) -> None:
        """Until the system was asked to stop, and nothing of it is left."""
        try:
            async with control.serve(self, self._plan.home.state), asyncio.TaskGroup() as self._group:
                self._write_down()
                # Engines start before the rest, which takes its time to get going.
                self._step()
                self._spawn(self._monitoring.serve(), "figures")
                self._spawn(self._watch(), "watch files")
                self._spawn(self._verify(), "verify the declaration")
                self._spawn(self._engines.keep(), "keep engines")
                try:
                    while not self._decision.finished:
                        if not self._decision.actions:
                            await self._next(self._decision.look_again)
                        self._step()
                finally:
                    for task in self._tasks:
                        task.cancel()
        finally:
            # Nothing is left after an ordered stop; after any other end nothing may be.
            await asyncio.gather(*(each.process.kill() for each in self._running.values()))
            await self._starter.close()
            self._engines.close()
            self._run.release()

    def _step(self) -> None:
        """Decide, and begin what was decided."""
        self._decision = decide(self._known, self._now())
        for action in self._decision.actions:
            self._know(self._do(action))
        self._publish()
        self._notify()

    async def _next(self, look_again: float) -> None:
        """Take in all that was observed; wait for it, or until it is time to look again."""
        try:
            async with asyncio.timeout_at(None if look_again == inf else look_again):
                self._know(await self._seen.get())
        except TimeoutError:
            return
        while not self._seen.empty():
            self._know(self._seen.get_nowait())

    def _do(self, action: Action) -> Observation:
        """Begin it, as it is declared at this moment, and say what is known from now on."""
        match action:
            case Start(name, successor):
                self._spawn(self._start(name, self._plan.process(name), successor=successor), f"start {name}")
                return StartBegan(name, successor)
            case Stop(name, pid, reason, again):
                is_succeeded = self._known.processes[name].successor == "ready"
                self._spawn(self._stop(pid, is_succeeded=is_succeeded), f"stop {name}")
                return StopAsked(name, pid, reason, again)
            case Prepare(services):
                self._spawn(self._prepare(self._plan, services), "prepare")
                return PreparationBegan(services)
            case _:
                assert_never(action)

    def _know(self, seen: Observation) -> None:
        before, self._known = self._known, after(self._known, seen, self._now())
        for line in news(before, self._known):
            self._hub.write(OURSELVES, line)

    def _see(self, seen: Observation) -> None:
        self._seen.put_nowait(seen)

    def _notify(self) -> None:
        if self._ready_after is None and self._is_ready():
            self._ready_after = self._now() - self._began
            self._declaration.keep(self._plan)
        self._changed.set()
        self._changed = asyncio.Event()

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        assert self._group is not None
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- processes

    async def _start(self, name: str, service: ServiceProcess | None, *, successor: bool) -> None:
        """Start a process and follow it to its end. service: None for an engine."""
        try:
            process, readiness, port = await self._begin(name, service)
        except (AtollError, OSError) as error:
            self._see(Ended(name, 0, _told(self._hub, name, error), successor))
            return
        self._running[process.pid] = _Running(process, port)
        self._see(Started(name, process.pid, successor))
        self._write_down()
        try:
            await follow(process, readiness, self._see)
            ended = await process.wait()
        finally:
            if process.exit is None:
                await process.kill()
            del self._running[process.pid]
        self._see(Ended(name, process.pid, _reason(ended, self._hub.last(name))))
        self._write_down()

    async def _begin(self, name: str, service: ServiceProcess | None) -> tuple[Process, Readiness, int]:
        if service is None:
            process, readiness = await self._engines.start(
                name, self._plan, self._gateway.serving, self._hub.writer(name)
            )
            return process, readiness, 0
        taken = {each.port for each in self._running.values() if each.process.name == name}
        port = next((port for port in service.admin if port not in taken), service.port)
        process, readiness = await self._services.start(service, port, self._hub.writer(name))
        return process, readiness, port

    async def _stop(self, pid: int, *, is_succeeded: bool) -> None:
        running = self._running.get(pid)
        if running is None:
            return
        if running.process.name == GATEWAY:
            await self._gateway.drain()
        if is_succeeded:
            # Or the gateway would go on asking the old process, which closes its connections.
            with suppress(TimeoutError):
                async with asyncio.timeout(_FOLLOWS_WITHIN):
                    await self._gateway.until_it_follows(lambda: self._known.stopping)
        await running.process.stop()

    async def _prepare(self, plan: Plan, services: tuple[str, ...]) -> None:
        outcome = await prepare(plan, services, self._engines.server, self._project.python, self._starter.spawn)
        for service, wrong in outcome.items():
            reason = "; ".join(each.sentence if isinstance(each, Problem) else each for each in wrong)
            preparation = self._known.preparations.get(service)
            if reason and preparation and reason != preparation.reason:
                self._hub.write(service, "\n".join(map(str, wrong)))
            self._see(PreparationEnded(service, reason))
        if self._ready_after is not None:
            self._declaration.keep(self._plan)

    def _write_down(self) -> None:
        self._run.write(tuple(child_of(each.process) for each in self._running.values()), self._plan.url)

    # --- the gateway

    def _publish(self) -> None:
        """Tell the gateway which processes serve."""
        ports = {pid: each.port for pid, each in self._running.items()}
        serves = serving(self._known, ports)
        self._gateway.publish(serves)
        self._monitoring.publish(self._plan, serves)
        if not self._gateway.follows and not self._asking and is_ready(self._known):
            self._asking = True
            self._spawn(self._ask_gateway(), "ask the gateway")

    async def _ask_gateway(self) -> None:
        await self._gateway.until_it_follows(lambda: self._known.stopping)
        self._asking = False
        self._notify()

    def _is_ready(self) -> bool:
        return self._gateway.follows and is_ready(self._known)

    # --- changes

    def _watch(self) -> Coroutine[object, object, None]:
        """Follow the files of the project, of which there may be others after each change."""
        return watch(
            lambda: watched_folders(self._plan.description),
            lambda path: is_relevant(path, self._plan.description),
            self._reload,
        )

    async def _verify(self) -> None:
        """Read a recalled declaration after all, when everything serves and the machine has time."""
        if self._is_recalled:
            with suppress(TimeoutError):
                async with asyncio.timeout(_VERIFY_WITHIN):
                    async for status in self.changes():
                        if status.ready:
                            break
            await self._reload(frozenset())

    async def _reload(self, changed: frozenset[str]) -> None:
        """Read the declaration again, and replace what is different; while it can't be read, everything serves on."""
        async with self._reloading:
            try:
                new, effect = await self._declaration.read(self._plan, changed)
            except AtollError as error:
                self._hub.write(OURSELVES, f"the changed code has problems; what ran before serves on\n{error}")
                self._notify()
            else:
                await self._become(new, effect, changed)

    async def _become(self, new: Plan, effect: Effect, changed: frozenset[str]) -> None:
        self._plan = new
        self._declaration.keep(new)
        self._see(planned(new))
        changed_files = self._engines.rewrite(new)
        for each in self._running.values():
            if each.process.name in changed_files:
                each.process.signal("SIGHUP")
        await self._gateway.replan(new)
        if effect.replace or effect.prepare:
            reason = f"{', '.join(sorted(Path(path).name for path in changed)) or 'the declaration'} changed"
            self._hub.write(OURSELVES, f"{reason}: {', '.join(sorted(effect.replace | effect.prepare))}")
            self._see(Changed(effect.replace, reason, effect.prepare))


def _told(hub: LogHub, name: str, error: AtollError | OSError) -> str:
    """Why a process could not even be started; the whole of it goes to the log."""
    hub.write(name, str(error))
    return error.problems[0].sentence if isinstance(error, AtollError) else str(error)


def _reason(ended: Exit, last_lines: tuple[str, ...]) -> str:
    """How a process ended, with its own last words if it ended by itself."""
    words = last_words(last_lines) if ended.status else ""
    return f"{ended}: {words}" if words else str(ended)


async def open_run(project: Project) -> Supervisor:
    """Read the declaration, take the folder, end what a killed run left there, and plan; nothing is started yet.

    Raises AtollError with everything that is wrong: in the declaration, ALREADY_RUNNING, NO_FREE_PORT, ...
    """
    began = asyncio.get_running_loop().time()
    starter = Starter(project.python.program, project.python.variables)
    try:
        # It gets ready while a child of its own, which does not wait for it, reads the declaration.
        await starter.warm_up()
        recalled = None if project.fresh else recall(project)
        description = recalled or await project.describe()
        home = home_of(description, project.namespace)
        run = Run.take(home, _record(project, description, home))
        try:
            await run.end_leftovers()
            if project.fresh:
                run.forget()
            plan = project.plan(description, home, run.ports)
            return Supervisor(project, plan, run, starter, began, is_recalled=recalled is not None)
        except BaseException:
            run.release()
            raise
    except BaseException:
        await starter.close()
        raise


def _record(project: Project, description: Description, home: Home) -> RunRecord:
    me = os.getpid()
    socket = control.sockets_folder(home.state) / "control.sock"
    return RunRecord(
        description.name, me, identity(me) or "", project.target, str(project.folder.resolve()), str(socket)
    )
