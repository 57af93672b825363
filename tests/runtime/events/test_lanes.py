"""The order of messages in hand."""

from hypothesis import given
from hypothesis import strategies as st

from atoll.runtime.events.lanes import Lanes


def test_messages_of_one_key_are_given_out_one_at_a_time_and_in_order() -> None:
    lanes: Lanes[str] = Lanes()
    for message in ("a1", "a2", "b1"):
        lanes.add(message[0], message)
    (lane_a, first), (lane_b, other) = lanes.take(1)[0], lanes.take(1)[0]
    assert (first, other) == (["a1"], ["b1"])
    assert lanes.take(1) == []
    lanes.release(lane_a)
    lanes.release(lane_b)
    assert [messages for _, messages in lanes.take(5)] == [["a2"]]


def test_messages_without_a_key_do_not_wait_for_each_other() -> None:
    lanes: Lanes[int] = Lanes()
    for number in range(3):
        lanes.add("", number)
    assert [messages for _, messages in lanes.take(2)] == [[0], [1]]
    assert lanes.ready == 1


def test_a_batch_takes_a_lane_in_a_row_and_no_more_than_it_may() -> None:
    lanes: Lanes[str] = Lanes()
    for message in ("a1", "b1", "a2", "b2", "b3"):
        lanes.add(message[0], message)
    taken = lanes.take(4)
    assert [messages for _, messages in taken] == [["a1", "a2"], ["b1", "b2"]]
    for lane, _ in taken:
        lanes.release(lane)
    assert [messages for _, messages in lanes.take(4)] == [["b3"]]


def test_a_parked_message_comes_before_the_later_ones_of_its_key() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.add("a", "a1")
    ((lane, messages),) = lanes.take(1)
    lanes.put_back(lane, messages)
    lanes.add("a", "a2")
    assert lanes.take(1) == []
    lanes.release(lane)
    ((lane, messages),) = lanes.take(9)
    assert messages == ["a1", "a2"]


def test_dropping_keeps_what_a_worker_has_and_its_lane() -> None:
    lanes: Lanes[str] = Lanes()
    for message in ("a1", "a2", "b1"):
        lanes.add(message[0], message)
    ((lane, _),) = lanes.take(1)
    assert sorted(lanes.drop()) == ["a2", "b1"]
    lanes.add("a", "a2 again")
    assert lanes.ready == 0
    lanes.release(lane)
    assert [messages for _, messages in lanes.take(9)] == [["a2 again"]]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abc")),
        st.tuples(st.just("take"), st.just("")),
        st.tuples(st.just("fail"), st.just("")),
        st.tuples(st.just("done"), st.just("")),
    )
)


@given(STEPS)
def test_whatever_happens_each_key_is_finished_in_order_and_nothing_is_lost(steps: list[tuple[str, str]]) -> None:
    lanes: Lanes[tuple[str, int]] = Lanes()
    added: dict[str, int] = {}
    finished: dict[str, list[int]] = {}
    taken = []
    for step, key in steps:
        if step == "add":
            added[key] = added.get(key, 0) + 1
            lanes.add(key, (key, added[key]))
        elif step == "take":
            taken += lanes.take(1)
        elif taken:
            lane, messages = taken.pop(0)
            if step == "fail":
                lanes.put_back(lane, messages)
            else:
                finished.setdefault(str(lane.key), []).extend(number for _, number in messages)
            lanes.release(lane)
        held = [lane.key for lane, _ in taken]
        assert len(held) == len(set(held))
    for lane, messages in taken:
        lanes.put_back(lane, messages)
        lanes.release(lane)
    while left := lanes.take(9):
        for lane, messages in left:
            finished.setdefault(str(lane.key), []).extend(number for _, number in messages)
            lanes.release(lane)
    assert finished == {key: list(range(1, count + 1)) for key, count in added.items()}
