"""What a page of docs/how-to tells to write and to type, taken from the page itself."""

import re
from pathlib import Path

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def program_of(page: str) -> str:
    """The first Python file that it shows."""
    found = re.search(r"^```python\n(.*?)^```", _text(page), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def commands_of(page: str, name: str) -> list[str]:
    """Every command line that begins with this program, in order, without its prompt."""
    return re.findall(rf"^\$ ({name} .*)$", _text(page), re.MULTILINE)


def _text(page: str) -> str:
    return (HOW_TO / page).read_text()
