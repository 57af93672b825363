"""The table of processes, as a person reads it."""

from rich.console import Console

from atoll.cli.table import status_table
from atoll.supervisor.status import ProcessStatus, Status


def shown(*processes: ProcessStatus) -> list[str]:
    """The rows, without the spaces between columns."""
    status = Status("shop", 1, "/shop", "/shop/.atoll", "shop", "", True, 1.0, {}, processes)
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(status_table(status))
    return [" ".join(line.split()) for line in captured.get().splitlines()[1:]]


def test_a_breaker_stands_at_who_calls_in_its_state() -> None:
    broken = {"bank": "open", "mail": "half-open"}
    rows = shown(
        ProcessStatus("front-1", "front", "service", "ready", port=3000),
        ProcessStatus("payment-1", "payment", "service", "ready", port=3001, breakers=broken),
    )
    assert rows == ["front-1 ready 3000", "payment-1 ready breaker of bank open breaker of mail half-open 3001"]


def test_a_fault_on_purpose_and_a_breaker_are_both_told() -> None:
    (row,) = shown(
        ProcessStatus("payment-1", "payment", "service", "ready", fault="answers 500 to 50%", breakers={"bank": "open"})
    )
    assert row == "payment-1 ready answers 500 to 50%, on purpose breaker of bank open"
