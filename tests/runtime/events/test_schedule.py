"""When a method marked with @every runs."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from atoll.runtime.events.schedule import Scheduled, Scheduler, first_run, next_run
from tests.runtime.events.parts import END_SESSIONS, Running, new_telemetry
from tests.waiting import eventually


def test_the_first_run_is_one_period_after_the_last_one_in_whatever_process() -> None:
    assert first_run(last=100.0, period=60.0, now=130.0, chance=0.0) == 160.0
    assert first_run(last=100.0, period=60.0, now=130.0, chance=1.0) == 163.0


def test_an_overdue_run_begins_at_once_and_only_once() -> None:
    assert first_run(last=100.0, period=60.0, now=1000.0, chance=1.0) == 1000.0


def test_runs_that_a_long_one_overlapped_are_skipped() -> None:
    assert next_run(last=100.0, period=60.0, now=101.0, chance=0.0) == 160.0
    assert next_run(last=100.0, period=60.0, now=161.0, chance=0.0) == 220.0
    assert next_run(last=100.0, period=60.0, now=400.0, chance=0.0) == 460.0


class Counting:
    """A method that counts its runs, and fails when told to."""

    def __init__(self, *, fails: int = 0, lasts: float = 0.0) -> None:
        self.runs = 0
        self.at_once = 0
        self.most_at_once = 0
        self._fails = fails
        self._lasts = lasts

    async def __call__(self) -> None:
        self.runs += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self._lasts)
        self.at_once -= 1
        if self.runs <= self._fails:
            raise ValueError("not yet")


async def test_a_run_that_fails_is_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    counting, telemetry = Counting(fails=1), new_telemetry()
    task = asyncio.create_task(Scheduler([Scheduled("tidy", 0.05, counting)], None, telemetry).run())
    await eventually(lambda: counting.runs >= 3)
    task.cancel()
    assert "tidy failed" in caplog.text
    spans = [span for span in telemetry.recorder.take() if span.name == "every tidy"]
    assert [span.error for span in spans[:2]] == ["ValueError", ""]


async def test_a_run_longer_than_its_period_is_never_beside_itself() -> None:
    counting = Counting(lasts=0.12)
    task = asyncio.create_task(Scheduler([Scheduled("slow", 0.05, counting)], None, new_telemetry()).run())
    await eventually(lambda: counting.runs >= 3)
    task.cancel()
    assert counting.most_at_once == 1


async def test_of_two_replicas_one_runs_it_and_the_other_takes_over(running: Running) -> None:
    # Given two replicas with the same schedule
    first, second = Counting(), Counting()
    one = await running.leader("a", schedules=[Scheduled("tidy", 0.1, first)])
    await eventually(lambda: one.leads)
    await running.leader("b", schedules=[Scheduled("tidy", 0.1, second)])
    # When the first runs
    await eventually(lambda: first.runs >= 3)
    assert second.runs == 0
    # and ends, then the second does
    await one.stop()
    runs = first.runs
    await eventually(lambda: second.runs >= 2)
    assert first.runs == runs


async def test_a_leader_whose_database_session_is_ended_leads_again(
    running: Running, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    counting = Counting()
    leader = await running.leader("a", schedules=[Scheduled("tidy", 0.1, counting)])
    await eventually(lambda: counting.runs >= 1)
    await admin.execute(END_SESSIONS)
    runs = counting.runs
    await eventually(lambda: counting.runs > runs and leader.leads)


async def test_a_period_goes_on_over_a_restart(running: Running, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    # Given an hourly method that last began 59 minutes and 59.9 seconds ago, in another process
    began = datetime.now(UTC) - timedelta(seconds=3599.9)
    await admin.execute("INSERT INTO atoll.schedules VALUES ('hourly', $1)", began)
    # When a new process takes over, without jitter it would run in 0.1 s, with it within three minutes
    assert first_run(began.timestamp(), 3600.0, began.timestamp() + 3599.9, 0.0) == pytest.approx(
        began.timestamp() + 3600.0
    )
    # and one that is overdue runs now
    await admin.execute("UPDATE atoll.schedules SET started_at = started_at - interval '1 hour'")
    counting = Counting()
    await running.leader("a", schedules=[Scheduled("hourly", 3600.0, counting)])
    await eventually(lambda: counting.runs == 1)
