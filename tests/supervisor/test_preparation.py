"""Whose preparation failed."""

from atoll.errors import MIGRATION_FAILED, PREPARATION_FAILED
from atoll.supervisor.preparation import owners

SERVICES = ("users", "users-eu", "cart")


def test_a_problem_belongs_to_the_service_that_its_sentence_begins_with() -> None:
    migration = MIGRATION_FAILED.at(service="users", file="0001_a.sql", reason="no")
    assert owners(migration, SERVICES) == ["users"]
    assert owners(PREPARATION_FAILED.at(service="users-eu", reason="no"), SERVICES) == ["users-eu"]


def test_a_problem_of_nobody_in_particular_keeps_all_waiting() -> None:
    assert owners(PREPARATION_FAILED.at(service="something", reason="no"), SERVICES) == SERVICES
