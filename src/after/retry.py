"""How long to wait before a failed task is tried again, or to give up."""

from __future__ import annotations

import msgspec

from after.dates import parse_elapsed
from after.task import Document, Retry


def policy_of(task: Document, default: Retry | None) -> Retry | None:
    """Give a task's rule for retries, else the default of its job.

    One that cannot be read, written while the task was held, retries nothing.
    """
    if task.get("retry") is None:
        return default
    try:
        policy = msgspec.convert(task.get("retry"), Retry | None)
        delay(policy, 1, 0.5)
    except ValueError:
        return None
    return policy


def delay(policy: Retry | None, attempt: int, chance: float) -> int | None:
    """Give the milliseconds from the failure of run number `attempt` (from 1) to the next, None to give up.

    The wait is `interval * backoff ** (attempt - 1)`, at most `max`, spread evenly by `jitter` to both sides;
    `chance`, from 0 to 1, says where in the spread it falls.
    """
    if policy is None or attempt > policy.limit:
        return None
    interval = parse_elapsed(policy.interval)
    longest = parse_elapsed(policy.max) if policy.max is not None else _A_YEAR
    try:
        wait = min(interval * policy.backoff ** (attempt - 1), longest)
    except OverflowError:
        wait = longest if interval else 0
    return round(wait * (1 + policy.jitter * (2 * chance - 1)))


_A_YEAR = 365 * 24 * 3600 * 1000
