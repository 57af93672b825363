"""Changes of real files."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from atoll.supervisor.watch import watch


async def first(changes: AsyncIterator[frozenset[str]], do: Callable[[], object]) -> frozenset[str]:
    """The first change that is seen; it is made again and again, for nobody tells when the watching has begun."""
    waiting = asyncio.ensure_future(anext(changes))
    async with asyncio.timeout(10):
        while not waiting.done():
            do()
            await asyncio.wait([waiting], timeout=0.2)
    return waiting.result()


def is_code(path: str) -> bool:
    return path.endswith(".py")


async def test_a_file_that_is_written_is_seen_with_its_path(tmp_path: Path) -> None:
    file = tmp_path / "service.py"
    changes = watch([str(tmp_path)], is_code)
    assert await first(changes, lambda: file.write_text("x = 1")) == {str(file)}
    await changes.aclose()  # type: ignore[attr-defined]


async def test_a_folder_below_is_watched_and_the_state_of_the_system_is_not(tmp_path: Path) -> None:
    for name in (".atoll", "node_modules", "below"):
        (tmp_path / name).mkdir()
    changes = watch([str(tmp_path)], is_code)

    def write() -> None:
        for name in (".atoll", "node_modules", "below"):
            (tmp_path / name / "x.py").write_text("x = 1")

    assert await first(changes, write) == {str(tmp_path / "below" / "x.py")}
    await changes.aclose()  # type: ignore[attr-defined]


async def test_what_is_irrelevant_is_not_seen(tmp_path: Path) -> None:
    changes = watch([str(tmp_path)], is_code)

    def write() -> None:
        (tmp_path / "data.log").write_text("line")
        (tmp_path / "code.py").write_text("x = 1")

    assert await first(changes, write) == {str(tmp_path / "code.py")}
    await changes.aclose()  # type: ignore[attr-defined]
