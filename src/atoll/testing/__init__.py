"""For tests of systems: the whole of one, on real engines, for the length of a block."""

from atoll.testing.background import running_in_background
from atoll.testing.running import Running, running

__all__ = ["Running", "running", "running_in_background"]
