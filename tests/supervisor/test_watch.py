"""Changes of real files."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import asynccontextmanager
from pathlib import Path

from atoll.supervisor.watch import watch
from tests.waiting import eventually

Changed = Callable[[frozenset[str]], Awaitable[None]]


def is_code(path: str) -> bool:
    return path.endswith(".py")


@asynccontextmanager
async def watching(folders: Callable[[], Set[str]], changed: Changed) -> AsyncIterator[None]:
    task = asyncio.create_task(watch(folders, is_code, changed))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def first(folder: Path, do: Callable[[], object]) -> frozenset[str]:
    """The first change that is seen; it is made again and again, for nobody tells when the watching has begun."""
    seen: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    async with watching(lambda: {str(folder)}, seen.put):

        def comes() -> bool:
            do()
            return not seen.empty()

        await eventually(comes, every=0.2)
        return seen.get_nowait()


async def test_a_file_that_is_written_is_seen_with_its_path(tmp_path: Path) -> None:
    file = tmp_path / "service.py"
    assert await first(tmp_path, lambda: file.write_text("x = 1")) == {str(file)}


async def test_a_folder_below_is_watched_and_the_state_of_the_system_is_not(tmp_path: Path) -> None:
    for name in (".atoll", "node_modules", "below"):
        (tmp_path / name).mkdir()

    def write() -> None:
        for name in (".atoll", "node_modules", "below"):
            (tmp_path / name / "x.py").write_text("x = 1")

    assert await first(tmp_path, write) == {str(tmp_path / "below" / "x.py")}


async def test_what_is_irrelevant_is_not_seen(tmp_path: Path) -> None:
    def write() -> None:
        (tmp_path / "data.log").write_text("line")
        (tmp_path / "code.py").write_text("x = 1")

    assert await first(tmp_path, write) == {str(tmp_path / "code.py")}


async def test_what_changes_while_other_folders_come_to_be_watched_is_seen(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    seen: list[str] = []
    folders = {str(one)}

    async def changed(paths: frozenset[str]) -> None:
        seen.extend(Path(path).name for path in paths)
        if "first.py" in seen and str(other) not in folders:
            # When another file changes at the end of a change by which the folders are others
            folders.add(str(other))
            (one / "second.py").write_text("x = 1")

    async with watching(lambda: frozenset(folders), changed):

        def comes() -> bool:
            (one / "first.py").write_text("x = 1")
            return "first.py" in seen

        await eventually(comes, every=0.2)
        # Then it is seen, and so is what changes in the folder that came
        await eventually(lambda: "second.py" in seen, within=5.0)
        (other / "third.py").write_text("x = 1")
        await eventually(lambda: "third.py" in seen, within=5.0)
