"""Rules about the files of migrations."""

from atoll.model.migrations import checksum, migration_problems

FIRST, SECOND = "0001_start.sql", "0002_more.sql"


def test_numbered_files_without_a_gap_are_in_order() -> None:
    assert migration_problems("users", "migrations", {FIRST: "a", SECOND: "b"}, {}) == []


def test_an_applied_file_that_was_edited_is_named_with_its_remedy() -> None:
    (problem,) = migration_problems("users", "migrations", {FIRST: "new", SECOND: "b"}, {FIRST: "old"})
    assert problem.code == "ATL2206"
    assert problem.place == "migrations/0001_start.sql"
    assert "put the change into a new migration" in problem.do


def test_an_applied_file_that_is_gone_is_a_problem() -> None:
    (problem,) = migration_problems("users", "migrations", {FIRST: "a"}, {FIRST: "a", SECOND: "b"})
    assert "it was applied before and is gone" in problem.sentence


def test_line_ends_do_not_change_a_checksum_but_any_other_byte_does() -> None:
    assert checksum(b"SELECT 1;\r\n") == checksum(b"SELECT 1;\n")
    assert checksum(b"SELECT 2;\n") != checksum(b"SELECT 1;\n")
