"""The limit of requests at work, by how late the loop is."""

from atoll.runtime.resilience.shedding import FEWEST, LATE, WINDOW, Shedder

PERIOD = 0.01


class Loop:
    """Looks at a shedder as a server does. now: seconds."""

    def __init__(self, bound: int = 1024) -> None:
        self.now = 0.0
        self.shedder = Shedder(bound, self.now)

    def turn(self, *late: float, at_work: int = 100) -> int:
        """One look after the other, each late by so much. Returns the limit."""
        for each in late:
            due = self.now + PERIOD
            self.now = due + each
            self.shedder.busiest = max(self.shedder.busiest, at_work)
            self.shedder.look(self.now, due)
        return self.shedder.limit


def test_a_loop_in_time_takes_whatever_the_bound_allows() -> None:
    assert Loop(300).turn(*[0.001] * 500, at_work=300) == 300


def test_a_queue_that_stands_lowers_the_limit_to_a_share_of_what_is_at_work() -> None:
    loop = Loop()
    assert loop.turn(*[2 * LATE] * 3, at_work=200) == 100
    # Even from a loop that is later still: half at once, no more.
    assert loop.turn(*[1.0] * 3, at_work=90) == 45


def test_a_little_late_lowers_it_a_little() -> None:
    assert 85 <= Loop().turn(*[LATE * 1.1] * 3, at_work=100) < 100


def test_it_never_goes_below_the_fewest_nor_above_the_bound() -> None:
    assert Loop().turn(*[1.0] * 60, at_work=5) == FEWEST
    assert Loop(4).turn(*[1.0] * 60, at_work=4) == 4


def test_a_single_handler_that_blocks_sheds_nothing() -> None:
    assert Loop().turn(0.0, 2.0, 0.0, 0.0, 3.0, 0.001, 1.0, 0.0, 0.0) == 1024


def test_it_grows_back_within_seconds_by_itself() -> None:
    loop = Loop()
    assert loop.turn(*[1.0] * 30, at_work=20) == FEWEST
    began = loop.now
    limits = []
    while loop.turn(0.0) < 1024:
        limits.append(loop.shedder.limit)
    assert limits == sorted(limits)
    assert 2.0 < loop.now - began < 8.0


def test_what_was_idle_meanwhile_grew_by_the_time_that_passed() -> None:
    loop = Loop()
    assert loop.turn(*[1.0] * 30, at_work=20) == FEWEST
    loop.now += 60 * WINDOW
    assert loop.turn(*[0.0] * 3) > 900
