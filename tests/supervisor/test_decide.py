"""What is decided, whatever a machine does: it fails as hypothesis likes."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atoll.supervisor.decide import SILENCE_LIMIT, START_LIMIT, Stop, decide
from atoll.supervisor.state import (
    STABLE,
    BecameReady,
    BecameUnhealthy,
    Changed,
    Kind,
    Known,
    Planned,
    PreparationEnded,
    Process,
    State,
    SystemStops,
    delay,
)
from atoll.supervisor.status import is_ready
from tests.supervisor.machine import ALL, Machine, left_out, machine, misbehave, pid_of, without

CHOICES = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 20), st.floats(0.0, 3.0) | st.just(START_LIMIT + 1)), max_size=60
)


def whatever_happens(made: Machine, choices: list[tuple[int, int, float]]) -> None:
    for choice, which, seconds in choices:
        made.settle()
        misbehave(made, choice, which)
        made.now += seconds


@given(st.booleans(), CHOICES)
# PostgreSQL is silent for as long as it may be in the moment in which the first service could begin.
@example(False, [(1, 0, 0.0), (4, 0, 0.0), (6, 0, 1.0), (0, 0, 3.0), (0, 0, 3.0), (7, 0, 3.0)])
# A successor that was not ready in time has still to end when all the others are ready.
@example(True, [(8, 0, 61.0), (7, 0, 61.0), (0, 1, 61.0), (1, 9, 61.0)])
@settings(max_examples=300)
def test_whatever_happened_everything_is_ready_once_nothing_fails_any_more(
    is_ready_at_first: bool, choices: list[tuple[int, int, float]]
) -> None:
    made = machine() if is_ready_at_first else Machine()
    whatever_happens(made, choices)
    made.become(ALL)
    made.run_well()
    assert sorted(made.alive.values()) == ["email-1", "envoy", "nats", "node-1", "postgres", "users-1", "users-2"]


@given(st.booleans(), CHOICES)
@settings(max_examples=300)
def test_whatever_happened_a_stop_ends_services_first_and_leaves_nothing(
    is_ready_at_first: bool, choices: list[tuple[int, int, float]]
) -> None:
    made = machine() if is_ready_at_first else Machine()
    whatever_happens(made, choices)
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


def test_a_process_that_ends_while_its_successor_is_being_started_leaves_one_and_not_two() -> None:
    made = machine()
    # Given changed code that is being started, and has no number yet
    made.see(Changed(frozenset({"email"}), "service.py changed"))
    made.settle()
    # When the old process ends at that moment
    made.end(pid_of(made, "email-1"), "killed by SIGKILL")
    made.settle()
    # Then nothing is started beside it, it is the process, and the system can be stopped
    assert [start.name for start in made.starting] == ["email-1"]
    made.run_well()
    email = made.known.processes["email-1"]
    assert (email.state, email.pid, email.successor_pid) == ("ready", pid_of(made, "email-1"), 0)


@pytest.mark.parametrize("fails", [False, True])
def test_a_process_that_ends_while_its_successor_is_told_to_end_is_started_again(fails: bool) -> None:
    made = machine()
    # Given changed code that does not become ready, and is told to end
    made.see(Changed(frozenset({"email"}), "service.py changed"))
    made.settle()
    made.spawn()
    made.now += START_LIMIT + 1
    made.settle()
    (told,) = made.asked
    # When the old process ends before it, and the new one after that
    made.end(pid_of(made, "email-1"), "killed by SIGKILL")
    made.settle()
    made.end(told, "killed by SIGKILL" if fails else "exit status 0")
    # Then it is started again, at once: nobody failed who was not asked to
    made.run_well()
    assert made.known.processes["email-1"].crashes == 0


@pytest.mark.parametrize("plan", [without("users"), without("users-2"), left_out("node-1")])
@pytest.mark.parametrize("ended", [False, True], ids=["ends", "ended"])
def test_what_is_taken_out_of_the_declaration_and_put_back_runs_again(plan: Planned, ended: bool) -> None:
    made = machine()
    # Given what was declared no more, and ends or has ended
    made.become(plan)
    made.settle()
    assert made.asked
    if ended:
        made.behave()
        made.settle()
    # When it is declared again
    made.become(ALL)
    # Then it runs
    made.run_well()
    assert sorted(made.alive.values()) == ["email-1", "envoy", "nats", "node-1", "postgres", "users-1", "users-2"]


def test_what_can_not_run_here_any_more_ends_and_says_why() -> None:
    made = machine()
    made.become(left_out("node-1"))
    made.settle()
    made.behave()
    made.settle()
    assert "node-1" not in made.alive.values()
    node = made.known.processes["node-1"]
    assert (node.state, node.reason) == ("left out", "node-1 is left out")


@pytest.mark.parametrize("reason", ["", "migration failed"])
def test_a_service_may_be_taken_out_of_the_declaration_while_it_is_being_prepared(reason: str) -> None:
    made = Machine()
    made.settle()
    made.behave()
    made.settle()
    # Given a service that is being prepared, and declared no more
    made.preparing.remove("email")
    made.become(without("email"))
    made.settle()
    # When it has been prepared, then nothing is done for it
    made.see(PreparationEnded("email", reason))
    made.run_well()
    assert "email-1" not in made.alive.values()


def test_a_service_that_is_put_back_while_it_is_being_prepared_is_prepared_after_it() -> None:
    made = Machine()
    made.settle()
    made.behave()
    made.settle()
    assert sorted(made.preparing) == ["email", "users"]
    made.become(without("email"))
    made.settle()
    made.become(ALL)
    made.settle()
    assert sorted(made.preparing) == ["email", "users"], "never two at a time"
    made.run_well()
    assert made.known.preparations["email"].state == "done"


def test_a_start_that_takes_long_is_waited_for_without_looking_again_and_again() -> None:
    made = Machine()
    made.settle()
    made.now = START_LIMIT + 1
    assert made.settle().look_again > made.now


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
    kept = tuple(each for each in ALL.processes if each.service != "users")
    made.become(Planned((*kept, new), ALL.preparations))
    made.settle()
    assert {made.alive[pid] for pid in made.asked} == {"users-1", "users-2"}
    assert [start.name for start in made.starting] == ["tax-1"]
    made.behave()
    made.become(Planned((*kept, new), ALL.preparations))
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
