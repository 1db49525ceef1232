"""What to do about the occurrences of a repeating task that have passed when a worker comes to it."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from after.recurrence import Rule
from after.repeat import DEFAULT_CATCH_UP_LIMIT, CatchUp

MISFIRE = 1_000
"""An occurrence that is not older than so many ms is on time: it is run, whatever `catch_up` says."""

MOST_COUNTED = 10_000
"""More missed occurrences than that are not counted, unless their number can be computed."""


class Missed(Struct, frozen=True):
    """Occurrences that do not run, as instants; without a `count` there are more than 10,000."""

    first: int
    last: int
    count: int | None


class CaughtUp(Struct, frozen=True):
    """The occurrence to run next, None where the series is over; what is left out before it, and how many that are."""

    run: int | None
    left_out: Missed | None
    number: int


def missed(
    rule: Rule,
    due: int,
    now: int,
    catch_up: CatchUp | None = None,
    limit: int | None = None,
) -> CaughtUp:
    """Say which occurrence runs when the one of the instant `due` is found at the instant `now`.

    `one` runs the newest of those that were missed or, where there is one, the first that is on time; `all` runs the
    oldest of the newest `limit`; `none` the first that is on time or in the future.
    `number` is by how much the number of the occurrence grows; where there are too many to count, by 10,000.
    """
    if due >= now - MISFIRE:
        return CaughtUp(due, None, 0)
    newest = rule.latest(now - MISFIRE - 1)
    newest = due if newest is None or newest < due else newest
    if catch_up == "all":
        run: int | None = max(due, _oldest(rule, newest, limit or DEFAULT_CATCH_UP_LIMIT))
    else:
        run = rule.next(newest)
        if catch_up != "none" and (run is None or run > now):
            run = newest
    return CaughtUp(run, *_left_out(rule, due, newest if run is None else rule.latest(run - 1)))


def _left_out(rule: Rule, first: int, last: int | None) -> tuple[Missed | None, int]:
    """Describe the occurrences from one to another, none where `last` is before `first`."""
    if last is None or last < first:
        return None, 0
    count = rule.count(first, last, MOST_COUNTED)
    return Missed(first, last, count), MOST_COUNTED if count is None else count


@lru_cache(maxsize=256)  # while a task catches up, it is asked for again with every run
def _oldest(rule: Rule, newest: int, limit: int) -> int:
    """Give the oldest of the newest `limit` occurrences."""
    return rule.back(newest, limit - 1)
