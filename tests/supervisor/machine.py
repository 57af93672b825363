"""A machine that lives in a test: it does what is decided, and fails as it is told to."""

from dataclasses import dataclass, field, replace
from math import inf

from atoll.supervisor.decide import Action, Decision, Prepare, Start, Stop, decide
from atoll.supervisor.state import (
    BecameReady,
    BecameUnhealthy,
    Changed,
    Ended,
    Known,
    Observation,
    Planned,
    Preparation,
    PreparationBegan,
    PreparationEnded,
    Process,
    StartBegan,
    Started,
    StopAsked,
    after,
)

ALL = Planned(
    (
        Process("postgres", "engine", "postgres"),
        Process("nats", "engine", "nats"),
        Process("envoy", "engine", "envoy"),
        Process("users-1", "service", "users", ("postgres",), replaceable=True),
        Process("users-2", "service", "users", ("postgres",), replaceable=True),
        Process("email-1", "service", "email", ("postgres", "nats"), replaceable=True),
        Process("node-1", "service", "node"),
        Process("absent-1", "service", "absent", state="left out"),
    ),
    (Preparation("users", ("postgres",)), Preparation("email", ("postgres", "nats"))),
)


def without(name: str) -> Planned:
    """The process, or all of the service, is declared no more."""
    return Planned(
        tuple(each for each in ALL.processes if name not in (each.name, each.service)),
        tuple(each for each in ALL.preparations if each.service != name),
    )


def left_out(name: str) -> Planned:
    """Its program is gone from the machine."""
    reason = f"{name} is left out"
    return Planned(
        tuple(replace(each, state="left out", reason=reason) if each.name == name else each for each in ALL.processes),
        ALL.preparations,
    )


PLANS = (ALL, without("users"), without("users-2"), without("email"), left_out("node-1"))


@dataclass
class Machine:
    """Does what is decided. alive: the name of each process by its number; asked: those told to end."""

    plan: Planned = ALL
    known: Known = field(default_factory=lambda: after(Known(), ALL, 0.0))
    now: float = 0.0
    alive: dict[int, str] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    starting: list[Start] = field(default_factory=list)
    preparing: list[str] = field(default_factory=list)
    began: list[tuple[float, str]] = field(default_factory=list)
    last_pid: int = 100

    def see(self, seen: Observation) -> None:
        self.known = after(self.known, seen, self.now)

    def become(self, plan: Planned) -> None:
        """The declaration is another one."""
        self.plan = plan
        self.see(plan)

    def settle(self) -> Decision:
        """Decide and do, until there is nothing more to do at this moment."""
        for _ in range(50):
            decision = decide(self.known, self.now)
            for action in decision.actions:
                self.do(action)
            if not decision.actions:
                assert decision.look_again > self.now, "it looks again and again"
                return decision
        raise AssertionError(f"it never comes to rest: {decide(self.known, self.now).actions}")

    def do(self, action: Action) -> None:
        match action:
            case Start(name, successor):
                self.check_start(name)
                self.began.append((self.now, name))
                self.starting.append(action)
                self.see(StartBegan(name, successor))
            case Stop(name, pid, reason, again):
                assert self.alive[pid] == name, "only what lives is stopped"
                assert pid not in self.asked, "nobody is asked twice"
                self.asked.add(pid)
                self.see(StopAsked(name, pid, reason, again))
            case Prepare(services):
                assert set(services) <= {each.service for each in self.plan.preparations}
                assert not set(services) & set(self.preparing), "nothing is prepared twice at a time"
                self.preparing += services
                self.see(PreparationBegan(services))

    def check_start(self, name: str) -> None:
        process = self.known.processes[name]
        assert not self.known.stopping
        assert name in {each.name for each in self.plan.processes if each.state != "left out"}
        assert all(self.known.processes[engine].serves for engine in process.needs)
        preparation = self.known.preparations.get(process.service)
        assert preparation is None or preparation.state == "done"
        others = [each for each in self.alive.values() if each == name] + [each.name for each in self.starting]
        assert others.count(name) <= 1, "at most a successor beside the one that serves"

    def spawn(self, *, fails: bool = False) -> None:
        """The process that was to be started first runs, or can't."""
        start = self.starting.pop(0)
        if fails:
            self.see(Ended(start.name, 0, "no such file", start.successor))
            return
        self.last_pid += 1
        self.alive[self.last_pid] = start.name
        self.see(Started(start.name, self.last_pid, start.successor))

    def end(self, pid: int, reason: str) -> None:
        name = self.alive.pop(pid)
        self.asked.discard(pid)
        self.see(Ended(name, pid, reason))

    def behave(self) -> None:
        """Everything goes well: starts succeed, what runs is ready, what was asked to end does, time goes on."""
        while self.starting:
            self.spawn()
        while self.preparing:
            self.see(PreparationEnded(self.preparing.pop()))
        for pid in sorted(self.asked):
            self.end(pid, "exit status 0")
        for pid, name in list(self.alive.items()):
            self.see(BecameReady(name, pid))

    def is_ready(self) -> bool:
        return all(each.state in ("ready", "left out") for each in self.known.processes.values())

    def run_well(self) -> None:
        """Until everything is ready, and all that was told to end has ended."""
        for _ in range(100):
            decision = self.settle()
            if self.is_ready() and not self.asked and not any(each.successor for each in self.known.processes.values()):
                return
            self.behave()
            if decision.look_again < inf:
                self.now = max(self.now, decision.look_again)
        raise AssertionError(f"never ready: {decide(self.known, self.now).waiting}")


def machine() -> Machine:
    made = Machine()
    made.run_well()
    return made


def pid_of(made: Machine, name: str) -> int:
    return next(pid for pid, each in made.alive.items() if each == name)


def misbehave(made: Machine, choice: int, which: int) -> None:
    """One thing that can happen to a machine."""
    pids = sorted(made.alive)
    pid = pids[which % len(pids)] if pids else 0
    services = ("users", "email", "node", "absent")
    match choice:
        case 0 if made.starting:
            made.spawn(fails=True)
        case 1 | 2 if made.starting:
            made.spawn()
        case 3 if pid:
            made.end(pid, "killed by SIGKILL")
        case 4 | 5 if pid:
            made.see(BecameReady(made.alive[pid], pid))
        case 6 if pid:
            made.see(BecameUnhealthy(made.alive[pid], pid, "answering 503", silent=which % 2 == 0))
        case 7 if made.preparing:
            made.see(PreparationEnded(made.preparing.pop(0), "migration failed" if which % 2 else ""))
        case 8:
            service = services[which % len(services)]
            made.see(Changed(frozenset({service}), "changed", frozenset({service} if which % 3 == 0 else ())))
        case 9 if made.asked:
            made.end(sorted(made.asked)[which % len(made.asked)], "exit status 0")
        case 10:
            made.become(PLANS[which % len(PLANS)])
        case _:
            pass  # it is not possible now
