"""The declaration of a system that runs: read anew after each change, and kept for the next run."""

from collections.abc import Set
from contextlib import suppress

from atoll.errors import AtollError
from atoll.supervisor.changes import Effect, affected
from atoll.supervisor.children import data_of
from atoll.supervisor.plan import Plan
from atoll.supervisor.ports import Holding
from atoll.supervisor.process import Spawn
from atoll.supervisor.project import Project
from atoll.supervisor.remembered import remember
from atoll.wire.description import ProblemData


class Declaration:
    """What a run knows of its project's declaration.

    holding: the ports of the run. problems: of the newest one, while it can't be read and the one before is what runs.
    """

    def __init__(self, project: Project, spawn: Spawn, holding: Holding) -> None:
        self._project = project
        self._holding = holding
        self._spawn = spawn
        self._unread: frozenset[str] = frozenset()
        self.problems: tuple[ProblemData, ...] = ()

    async def read(self, running: Plan, changed: Set[str]) -> tuple[Plan, Effect]:
        """A plan of the declaration as it is now, and what that means for what runs.

        changed: files since the last call, which are looked at again if they can't be read this time. Raises
        AtollError with everything that is wrong.
        """
        self._unread |= changed
        try:
            description = await self._project.describe(self._spawn)
            plan = self._project.plan(description, running.home, self._holding, running)
        except AtollError as error:
            self.problems = tuple(data_of(problem) for problem in error.problems)
            raise
        effect = affected(running, plan, self._unread)
        self.problems, self._unread = (), frozenset()
        return plan, effect

    def keep(self, plan: Plan) -> None:
        """Keep it for the next run, unless there is a newer one that can't be read."""
        if not self.problems and not self._unread:
            with suppress(OSError):
                remember(self._project, plan.description, plan.home)
