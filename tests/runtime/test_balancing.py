"""Which replica gets the next call."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from atoll.runtime.balancing import Balancer, Replica


def balancer(*endpoints: str, seed: int = 1) -> Balancer[str, None]:
    made = Balancer[str, None](Random(seed).random, lambda: None)
    made.replace(endpoints, 0.0)
    return made


def picked(balancer: Balancer[str, None], now: float = 100.0, avoid: Replica[str, None] | None = None) -> str:
    replica = balancer.pick(now, avoid)
    assert replica is not None
    return replica.endpoint


def share(balancer: Balancer[str, None], endpoint: str, now: float) -> float:
    """How much of 2,000 calls, each answered at once, goes to the endpoint."""
    return [picked(balancer, now) for _ in range(2000)].count(endpoint) / 2000


def test_without_replicas_there_is_no_choice() -> None:
    assert balancer().pick(0.0) is None


def test_one_replica_gets_everything_even_if_it_fails() -> None:
    one = balancer("a")
    one.failed(one.replicas[0], 0.0, reached=False)
    assert picked(one, 0.1) == "a"


def test_replicas_that_are_equally_busy_share_evenly() -> None:
    three = balancer("a", "b", "c")
    assert all(0.28 < share(three, name, 0.0) < 0.39 for name in "abc")


def test_of_two_replicas_the_less_busy_one_is_taken() -> None:
    two = balancer("a", "b")
    two.replicas[0].in_flight = 3
    assert share(two, "b", 0.0) == 1.0


def test_the_busiest_of_many_is_never_taken() -> None:
    many = balancer(*"abcdef")
    many.replicas[2].in_flight = 9
    assert share(many, "c", 0.0) == 0.0


def test_a_replica_that_takes_no_connection_is_set_aside_for_a_second_and_then_longer() -> None:
    two = balancer("a", "b")
    failing, now, times = two.replicas[0], 0.0, []
    for _ in range(7):
        two.failed(failing, now, reached=False)
        times.append(failing.until - now)
        assert share(two, "a", failing.until - 0.01) == 0.0
        now = failing.until
    assert times == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_replica_that_takes_connections_is_set_aside_after_five_failures_in_a_row() -> None:
    two = balancer("a", "b")
    failing = two.replicas[0]
    for _ in range(4):
        two.failed(failing, 0.0, reached=True)
    two.succeeded(failing, 0.0)
    for _ in range(4):
        two.failed(failing, 0.0, reached=True)
    assert share(two, "a", 0.5) > 0.4
    two.failed(failing, 0.0, reached=True)
    assert share(two, "a", 0.5) == 0.0


def test_a_replica_that_comes_back_gets_a_growing_share() -> None:
    two = balancer("a", "b")
    two.failed(two.replicas[0], 0.0, reached=False)
    shares = [share(two, "a", now) for now in (1.1, 3.0, 6.0, 9.0, 12.0)]
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] > 0.45


def test_a_replica_that_is_new_gets_a_growing_share() -> None:
    two = balancer("a")
    two.replace(["a", "b"], 100.0)
    assert share(two, "b", 100.1) < 0.05
    assert share(two, "b", 111.0) > 0.45


def test_if_every_replica_failed_all_are_asked() -> None:
    two = balancer("a", "b")
    for replica in two.replicas:
        two.failed(replica, 0.0, reached=False)
    assert {picked(two, 0.5) for _ in range(50)} == {"a", "b"}


def test_the_first_to_answer_after_all_failed_gets_the_calls() -> None:
    two = balancer("a", "b")
    for replica in two.replicas:
        two.failed(replica, 0.0, reached=False)
    two.succeeded(two.replicas[1], 0.5)
    assert share(two, "b", 0.6) == 1.0


def test_after_all_failed_for_long_the_rest_are_looked_at_within_a_second_of_the_first_answer() -> None:
    three, now = balancer("a", "b", "c"), 0.0
    for _ in range(8):
        for replica in three.replicas:
            now = max(now, replica.until)
            three.failed(replica, now, reached=False)
    assert all(replica.until > now + 10 for replica in three.replicas[1:])
    three.succeeded(three.replicas[0], now)
    assert share(three, "a", now + 0.9) == 1.0
    assert {picked(three, now + 6.0) for _ in range(100)} == {"a", "b", "c"}
    assert share(three, "b", now + 11.1) > 0.28


def test_a_second_attempt_goes_to_another_replica() -> None:
    two = balancer("a", "b")
    assert {picked(two, 0.0, avoid=two.replicas[0]) for _ in range(50)} == {"b"}


def test_replicas_keep_what_is_known_of_them_when_the_list_changes() -> None:
    two = balancer("a", "b")
    kept, dropped = two.replicas
    gone = two.replace(["c", "a"], 5.0)
    assert gone == [dropped]
    assert dropped.gone
    assert kept in two.replicas
    assert not kept.gone


names = st.lists(st.sampled_from("abcdef"), max_size=6)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("replace"), names),
        st.tuples(st.sampled_from(["refused", "failed", "succeeded", "busy"]), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.floats(0, 5)),
    ),
    max_size=60,
)


@given(moves, st.integers(0, 1000))
def test_whatever_happened_a_pick_is_a_present_replica_and_set_aside_only_if_all_are(
    history: list[tuple[str, list[str] | int | float]], seed: int
) -> None:
    many, now = balancer("a", "b", "c", seed=seed), 0.0
    for what, value in history:
        if isinstance(value, list):
            many.replace(value, now)
        elif what == "wait":
            now += value
        elif many.replicas:
            replica = many.replicas[int(value) % len(many.replicas)]
            if what == "busy":
                replica.in_flight += 1
            elif what == "succeeded":
                many.succeeded(replica, now)
            else:
                many.failed(replica, now, reached=what == "failed")
        choice = many.pick(now)
        if choice is None:
            assert many.replicas == []
            continue
        assert choice in many.replicas
        assert choice.until <= now or all(replica.until > now for replica in many.replicas)
