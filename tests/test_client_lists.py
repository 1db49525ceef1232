"""How the client puts the ranges of several views together into one list."""

from __future__ import annotations

from collections.abc import AsyncIterator

from after.database.answers import ViewRow
from after.many import ranges
from after.many.ranges import merged
from after.status import Status


async def rows(*found: tuple[int, str, str]) -> AsyncIterator[ViewRow]:
    for date, identity, rev in found:
        yield ViewRow(id=identity, key=["w", date], doc={"_id": identity, "_rev": rev})


async def test_ranges_are_merged_by_date_and_id() -> None:
    found = merged([rows((1, "c", "1-a"), (3, "a", "1-a")), rows((1, "b", "1-a"), (2, "d", "1-a"))])
    assert [document["_id"] async for document in found] == ["b", "c", "d", "a"]


async def test_a_task_that_moves_from_one_range_to_another_is_given_once_as_it_is_by_then() -> None:
    for one, other in (("9-b", "10-a"), ("10-a", "9-b")):
        found = merged([rows((1, "a", one), (2, "b", "1-a")), rows((1, "a", other)), rows((1, "a", "8-c"))])
        assert [(document["_id"], document["_rev"]) async for document in found] == [("a", "10-a"), ("b", "1-a")]


def test_statuses_are_read_in_the_order_in_which_a_task_has_them() -> None:
    """Otherwise a task that moves on while they are read is missed."""
    assert sorted(ranges.FLOW) == sorted(Status)
    usual = [("reschedule", "waiting"), ("schedule", "waiting"), ("waiting", "scheduled"), ("scheduled", "running")]
    usual += [("running", "done"), ("running", "err"), ("cancel", "canceled"), ("reschedule", "scheduled")]
    assert all(ranges.FLOW.index(Status(old)) < ranges.FLOW.index(Status(new)) for old, new in usual)
