"""What holds of the gateway of the gated system wherever it runs; a test class for each place inherits it."""

import pytest

from tests.system import gateway_table
from tests.system.gateway_table import CASES, RAW, Case, Gate


class EveryGateway:
    """Whoever inherits it has a fixture `gate`."""

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_each_request_gets_the_answer_of_the_table(self, gate: Gate, case: Case) -> None:
        assert gateway_table.answered(gate, case)

    @pytest.mark.parametrize(("name", "head", "status"), RAW, ids=lambda value: value if isinstance(value, str) else "")
    def test_what_two_servers_could_read_differently_is_refused(
        self, gate: Gate, name: str, head: bytes, status: int
    ) -> None:
        assert gate.send_raw(head) == status, name

    def test_a_refusal_gives_no_hint_of_what_was_wrong(self, gate: Gate) -> None:
        assert len(gateway_table.refusals(gate)) == 1

    def test_what_makes_a_caller_known_ends_at_the_gateway(self, gate: Gate) -> None:
        assert gateway_table.leaks(gate) == []

    def test_who_asks_too_often_is_told_when_to_come_back(self, gate: Gate) -> None:
        # Five a minute, and one may come back meanwhile.
        assert gateway_table.hurried(gate) in (5, 6)
        assert gate.ask(Case("", 0, who="pia: a")).status == 200, "somebody else's"
