"""Exit statuses that scripts can rely on."""

from atoll.errors import BAD_ARGUMENT, NOT_DEPLOYED, NOT_RUNNING, AtollError

DONE = 0
PROBLEMS = 1
USAGE = 2
NOTHING_RUNS = 3


def status_of(error: AtollError) -> int:
    """What a command that met this error exits with."""
    codes = {problem.code for problem in error.problems}
    if codes in ({NOT_RUNNING.code}, {NOT_DEPLOYED.code}):
        return NOTHING_RUNS
    return USAGE if codes == {BAD_ARGUMENT.code} else PROBLEMS
