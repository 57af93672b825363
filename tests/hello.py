"""The smallest system, as a file of its own."""

HELLO = """\
from atoll import Service, System, get

class Hello:
    @get("/hello")
    async def hello(self) -> str:
        return "Hello"

system = System("small", services=[Service("hello", Hello)])
"""
