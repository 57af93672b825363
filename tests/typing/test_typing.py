"""The types of the public API: a type checker accepts right code and rejects wrong code, at the line that is wrong."""

from pathlib import Path

import pytest

from tests.typing.checkers import by_basedpyright, by_mypy, differences, expected

SAMPLES = Path(__file__).parent / "samples"

pytestmark = pytest.mark.timeout(150)


def listed(lines: list[str]) -> str:
    return "\n".join(["", *lines])


def test_mypy_accepts_what_is_right_and_rejects_what_is_wrong(tmp_path: Path) -> None:
    lines = differences(expected(SAMPLES, "mypy"), by_mypy(SAMPLES, tmp_path))
    assert not lines, listed(lines)


def test_basedpyright_accepts_what_is_right_and_rejects_what_is_wrong(tmp_path: Path) -> None:
    lines = differences(expected(SAMPLES, "basedpyright"), by_basedpyright(SAMPLES, tmp_path))
    assert not lines, listed(lines)


def test_every_sample_has_right_and_wrong_code() -> None:
    marked = {name for name, _ in expected(SAMPLES, "mypy")}
    assert marked == {path.name for path in SAMPLES.glob("*.py")}


def test_a_marker_on_right_code_is_a_difference_for_both(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a: int = 1  # expect: assignment | reportAssignmentType\n")
    for checker, found in (
        ("mypy", by_mypy(tmp_path, tmp_path)),
        ("basedpyright", by_basedpyright(tmp_path, tmp_path)),
    ):
        assert differences(expected(tmp_path, checker), found)[0].endswith("got none")


@pytest.mark.parametrize(
    ("wanted", "found", "count"),
    [
        ({("a.py", 1): {"misc", "call-arg"}}, {("a.py", 1): {"misc"}}, 0),
        ({("a.py", 1): {"misc"}}, {}, 1),
        ({}, {("a.py", 1): {"misc"}}, 1),
        ({("a.py", 1): {"misc"}}, {("a.py", 1): {"arg-type"}}, 1),
        ({("a.py", 1): {"misc"}}, {("a.py", 2): {"misc"}}, 2),
    ],
)
def test_a_difference_is_an_error_missing_unexpected_or_another_one(
    wanted: dict[tuple[str, int], set[str]], found: dict[tuple[str, int], set[str]], count: int
) -> None:
    assert len(differences(wanted, found)) == count
