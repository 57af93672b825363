"""Whose a cancellation is."""

import asyncio


def is_cancelled() -> bool:
    """Whether the task at work was told to end.

    Where it was not, a CancelledError comes from what it waited for, such as a task or future that somebody else
    cancelled: a failure like any other. Let out, it would end the task without a word, for asyncio reports none.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
