"""What the greeter offers."""

from typing import Protocol

from atoll import get


class Greeter(Protocol):
    """Greets, and remembers what it heard of."""

    @get("/hello/{name}")
    async def hello(self, name: str) -> str: ...

    @get("/heard")
    async def heard(self) -> int: ...
