"""A machine that lives in a test: it does what is decided, and fails as hypothesis likes."""

from dataclasses import dataclass, field
from math import inf

from hypothesis import example, given, settings
from hypothesis import strategies as st

from atoll.supervisor.decide import SILENCE_LIMIT, START_LIMIT, Action, Decision, Prepare, Start, Stop, decide
from atoll.supervisor.state import (
    STABLE,
    BecameReady,
    BecameUnhealthy,
    Changed,
    Ended,
    Kind,
    Known,
    Observation,
    Planned,
    Preparation,
    PreparationBegan,
    PreparationEnded,
    Process,
    StartBegan,
    Started,
    State,
    StopAsked,
    SystemStops,
    after,
    delay,
)
from atoll.supervisor.status import is_ready

PLAN = Planned(
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


@dataclass
class Machine:
    """Does what is decided. alive: the name of each process by its number; asked: those told to end."""

    known: Known = field(default_factory=lambda: after(Known(), PLAN, 0.0))
    now: float = 0.0
    alive: dict[int, str] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    starting: list[Start] = field(default_factory=list)
    preparing: list[str] = field(default_factory=list)
    began: list[tuple[float, str]] = field(default_factory=list)
    last_pid: int = 100

    def see(self, seen: Observation) -> None:
        self.known = after(self.known, seen, self.now)

    def settle(self) -> Decision:
        """Decide and do, until there is nothing more to do at this moment."""
        for _ in range(50):
            decision = decide(self.known, self.now)
            for action in decision.actions:
                self.do(action)
            if not decision.actions:
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
                assert not set(services) & set(self.preparing), "nothing is prepared twice at a time"
                self.preparing += services
                self.see(PreparationBegan(services))

    def check_start(self, name: str) -> None:
        process = self.known.processes[name]
        assert not self.known.stopping
        assert process.state != "left out"
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
        """Until everything is ready."""
        for _ in range(100):
            decision = self.settle()
            if self.is_ready() and not any(each.successor for each in self.known.processes.values()):
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


CHOICES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20), st.floats(0.0, 3.0)), max_size=60)


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


@given(CHOICES)
# PostgreSQL is silent for as long as it may be in the moment in which the first service could begin.
@example([(1, 0, 0.0), (4, 0, 0.0), (6, 0, 1.0), (0, 0, 3.0), (0, 0, 3.0), (7, 0, 3.0)])
@settings(max_examples=300)
def test_whatever_happened_everything_is_ready_once_nothing_fails_any_more(
    choices: list[tuple[int, int, float]],
) -> None:
    made = Machine()
    for choice, which, seconds in choices:
        made.settle()
        misbehave(made, choice, which)
        made.now += seconds
    made.run_well()
    assert sorted(made.alive.values()) == ["email-1", "envoy", "nats", "node-1", "postgres", "users-1", "users-2"]


@given(CHOICES)
@settings(max_examples=300)
def test_whatever_happened_a_stop_ends_services_first_and_leaves_nothing(choices: list[tuple[int, int, float]]) -> None:
    made = Machine()
    for choice, which, seconds in choices:
        made.settle()
        misbehave(made, choice, which)
        made.now += seconds
    before = set(made.asked)
    made.see(SystemStops())
    for _ in range(50):
        if made.settle().finished:
            break
        asked = {made.alive[pid] for pid in made.asked - before}
        services = {name for name in made.alive.values() if "-" in name}
        assert not (asked - services and services), "engines wait for services"
        assert not ("postgres" in asked and "envoy" in made.alive.values())
        while made.starting:
            made.spawn()
        for pid in sorted(made.asked):
            made.end(pid, "exit status 0")
    assert decide(made.known, made.now).finished
    assert made.alive == {}


def test_engines_start_together_then_what_they_prepare_then_all_services_together() -> None:
    made = Machine()
    made.settle()
    assert {start.name for start in made.starting} == {"postgres", "nats", "envoy", "node-1"}
    made.behave()
    made.settle()
    assert sorted(made.preparing) == ["email", "users"]
    assert made.starting == []
    made.behave()
    made.settle()
    assert {start.name for start in made.starting} == {"users-1", "users-2", "email-1"}


def test_what_a_process_waits_for_is_said_in_words() -> None:
    made = Machine()
    made.settle()
    assert decide(made.known, 0.0).waiting["email-1"] == "postgres (starting), nats (starting)"
    made.behave()
    made.settle()
    assert decide(made.known, 0.0).waiting["email-1"] == "its database and streams are being prepared"


def test_a_process_that_ends_by_itself_starts_again_ever_later_up_to_ten_seconds() -> None:
    made = machine()
    delays = []
    for _ in range(9):
        made.end(pid_of(made, "node-1"), "exit status 1: no such module")
        died, starts = made.now, len(made.began)
        made.settle()
        assert len(made.began) == starts, "not at once"
        made.now = made.settle().look_again
        made.settle()
        delays.append(round(made.began[-1][0] - died, 3))
        made.behave()
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]
    assert made.known.processes["node-1"].restarts == 9


def test_a_process_that_was_ready_for_long_starts_again_soon() -> None:
    made = machine()
    for _ in range(5):
        made.now += STABLE
        made.end(pid_of(made, "node-1"), "killed by SIGKILL")
        assert made.known.processes["node-1"].retry_at == made.now + delay(1)
        made.run_well()


def test_changed_code_starts_beside_the_old_process_which_stops_when_the_new_one_is_ready() -> None:
    made = machine()
    old = pid_of(made, "users-1")
    made.see(Changed(frozenset({"users"}), "service.py changed"))
    made.settle()
    assert [start.name for start in made.starting] == ["users-1", "users-2"]
    assert old not in made.asked
    made.spawn()
    new = made.last_pid
    made.settle()
    assert old not in made.asked, "the new one is not ready"
    made.see(BecameReady("users-1", new))
    made.settle()
    assert old in made.asked
    made.end(old, "exit status 0")
    users = made.known.processes["users-1"]
    assert (users.state, users.pid, users.restarts) == ("ready", new, 1)


def test_changed_code_that_does_not_start_leaves_the_old_process_serving() -> None:
    made = machine()
    old = pid_of(made, "email-1")
    made.see(Changed(frozenset({"email"}), "service.py changed"))
    made.settle()
    made.spawn()
    made.end(made.last_pid, "exit status 1: ATL3003 it raised")
    made.settle()
    email = made.known.processes["email-1"]
    assert (email.state, email.pid) == ("ready", old)
    assert "ATL3003" in email.reason
    assert made.asked == set()


def test_a_program_that_can_not_share_its_port_is_stopped_before_its_successor_starts() -> None:
    made = machine()
    old = pid_of(made, "node-1")
    made.see(Changed(frozenset({"node"}), "server.js changed"))
    made.settle()
    assert old in made.asked
    assert made.starting == []
    made.end(old, "exit status 0")
    made.settle()
    assert [start.name for start in made.starting] == ["node-1"]


def test_a_correction_is_tried_at_once_by_a_process_that_backs_off() -> None:
    made = machine()
    for _ in range(8):
        made.end(pid_of(made, "node-1"), "exit status 1")
        made.now = made.settle().look_again
        made.settle()
        made.behave()
    made.end(pid_of(made, "node-1"), "exit status 1")
    made.see(Changed(frozenset({"node"}), "server.js changed"))
    made.settle()
    assert [start.name for start in made.starting] == ["node-1"]


def test_a_failed_preparation_keeps_its_service_waiting_and_no_other() -> None:
    made = Machine()
    made.settle()
    made.behave()
    made.settle()
    made.preparing.clear()
    made.see(PreparationEnded("users", "users: migration 0001_a.sql failed"))
    made.see(PreparationEnded("email"))
    decision = made.settle()
    assert [start.name for start in made.starting] == ["email-1"]
    assert decision.waiting["users-1"] == "users: migration 0001_a.sql failed"
    made.now = decision.look_again
    made.settle()
    assert made.preparing == ["users"]


def test_a_process_that_never_becomes_ready_is_started_again() -> None:
    made = Machine()
    made.settle()
    while made.starting:
        made.spawn()
    made.now = START_LIMIT + 1
    made.settle()
    assert {made.alive[pid] for pid in made.asked} == {"postgres", "nats", "envoy", "node-1"}


def test_a_process_that_falls_silent_is_started_again_and_one_that_says_why_is_not() -> None:
    made = machine()
    node, users = pid_of(made, "node-1"), pid_of(made, "users-1")
    made.see(BecameUnhealthy("node-1", node, "not answering", silent=True))
    made.see(BecameUnhealthy("users-1", users, "answering 503"))
    made.now += SILENCE_LIMIT + 1
    made.settle()
    assert made.asked == {node}


def test_what_is_no_longer_declared_is_stopped_and_what_is_new_is_started() -> None:
    made = machine()
    new = Process("tax-1", "service", "tax")
    kept = tuple(each for each in PLAN.processes if each.service != "users")
    made.see(Planned((*kept, new), PLAN.preparations))
    made.settle()
    assert {made.alive[pid] for pid in made.asked} == {"users-1", "users-2"}
    assert [start.name for start in made.starting] == ["tax-1"]
    made.behave()
    made.see(Planned((*kept, new), PLAN.preparations))
    assert "users-1" not in made.known.processes


def test_the_collector_ends_last_and_is_waited_for_by_nobody() -> None:
    def known(**states: State) -> Known:
        kinds: dict[str, Kind] = {"users": "service"}
        processes = {
            name: Process(name, kinds.get(name, "engine"), name, state=state, pid=7) for name, state in states.items()
        }
        return Known(processes, stopping=True)

    asked = decide(known(users="stopped", envoy="stopped", nats="ready", collector="ready"), 0.0)
    assert [action.name for action in asked.actions if isinstance(action, Stop)] == ["nats"]
    asked = decide(known(users="stopped", envoy="stopped", nats="stopped", collector="ready"), 0.0)
    assert [action.name for action in asked.actions if isinstance(action, Stop)] == ["collector"]
    assert is_ready(known(users="ready", envoy="ready", collector="starting"))


def test_what_changes_while_a_service_is_being_prepared_is_prepared_after_it() -> None:
    made = machine()
    changed = Changed(frozenset({"users"}), "0002.sql changed", frozenset({"users"}))
    # Given a service that is being prepared
    made.see(changed)
    made.settle()
    assert made.preparing == ["users"]
    # When it changes again, then nothing is prepared beside it
    made.see(changed)
    made.settle()
    assert made.preparing == ["users"]
    assert not made.starting
    # But when it is done, before any process of it starts
    made.see(PreparationEnded(made.preparing.pop()))
    made.settle()
    assert made.preparing == ["users"]
    assert not made.starting
    made.run_well()
    assert made.known.preparations["users"].state == "done"


def test_changed_code_does_not_start_while_an_engine_that_it_needs_is_away() -> None:
    made = machine()
    # Given an engine that ended at the moment when code changed
    made.end(pid_of(made, "postgres"), "killed by SIGKILL")
    made.see(Changed(frozenset({"users"}), "service.py changed"))
    made.settle()
    # Then the change waits for the engine, and what serves serves on
    assert not [each for each in made.starting if each.name.startswith("users")]
    assert decide(made.known, made.now).waiting["users-1"].startswith("postgres")
    # When it is back, then the changed code takes over
    made.run_well()
    assert made.known.processes["users-1"].restarts == 1
