"""Lists of tasks, by date and id, page by page along an index."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import msgspec

from after.dates import LATEST, parse_instant
from after.errors import BadRequest
from after.server.http import number
from after.server.rows import Row
from after.server.store import Store
from after.status import STATUSES
from after.task import checked

DEFAULT_LIMIT, MAX_LIMIT = 100, 1_000
FILTERS = frozenset({"worker", "status", "tag"})
PARAMETERS = FILTERS | {"from", "to", "limit", "cursor"}


class Filter(NamedTuple):
    """Which tasks are wanted: `statuses` empty means all; `since` and before `until`, in ms since the epoch."""

    worker: str | None = None
    statuses: tuple[str, ...] = ()
    tag: str | None = None
    since: int = 0
    until: int = LATEST + 1

    @classmethod
    def from_query(cls, given: dict[str, str]) -> Filter:
        """Read the parameters of a request; raise `BadRequest` for one that is wrong."""
        statuses = tuple(sorted(set(given["status"].split(",")))) if given.get("status") else ()
        for status in statuses:
            if status not in STATUSES:
                raise BadRequest(f"status: {status!r} is not one of {', '.join(sorted(STATUSES))}")
        return cls(
            given.get("worker"),
            statuses,
            given.get("tag"),
            checked("from", parse_instant, given["from"]) if "from" in given else -(2**62),
            checked("to", parse_instant, given["to"]) if "to" in given else LATEST + 1,
        )


class Page(NamedTuple):
    """Some tasks, and where the next page begins, None at the end."""

    rows: list[Row]
    cursor: str | None


async def page(store: Store, wanted: Filter, limit: int, cursor: str | None) -> Page:
    """Give the tasks that fit, after the place that `cursor` tells, at most `limit`."""
    start = (wanted.since, "") if cursor is None else max((wanted.since, ""), _place(cursor))
    found: list[tuple[object, ...]] = []
    async for chunk in store.chunks(lambda last: _statement(wanted, start if last is None else last[:2])):
        for row in chunk:
            if wanted.tag is None or _has_tag(row, wanted.tag):
                found.append(row)
                if len(found) > limit:
                    return Page([_row(one) for one in found[:limit]], _cursor(found[limit - 1]))
    return Page([_row(one) for one in found], None)


def limit(given: dict[str, str]) -> int:
    """Give how many are asked for at once."""
    return number(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)


def _statement(wanted: Filter, after: Sequence[object]) -> tuple[str, list[object]]:
    """Select from the index that has the wanted tasks by date; from several of its ranges, merged, where need be."""
    if wanted.worker is None and not wanted.statuses:
        ranges: list[tuple[str, list[object]]] = [("status IS NOT NULL", [])]
    else:
        statuses = wanted.statuses or sorted(STATUSES)
        workers = [] if wanted.worker is None else [wanted.worker]
        prefix = "worker = ? AND status = ?" if workers else "status = ?"
        ranges = [(prefix, [*one]) for one in (product(workers, statuses) if workers else product(statuses))]
    # Text that is never a request's: the values are bound.
    select = "SELECT date, id, rev, seq, deleted, body FROM document WHERE {} AND (date, id) > (?, ?) AND date < ?"
    text = " UNION ALL ".join(select.format(prefix) for prefix, _ in ranges)
    values = [value for _, own in ranges for value in (*own, *after, wanted.until)]
    return f"{text} ORDER BY date, id", values


def _row(found: Sequence[object]) -> Row:
    _, identity, rev, seq, deleted, body = found
    assert isinstance(identity, str)
    assert isinstance(rev, str)
    assert isinstance(seq, int)
    assert isinstance(body, bytes)
    return Row(identity, rev, seq, bool(deleted), body)


def _has_tag(found: Sequence[object], tag: str) -> bool:
    body = found[5]
    assert isinstance(body, bytes)
    return tag in (msgspec.json.decode(body, type=_Tagged).tags or ())


class _Tagged(msgspec.Struct):
    tags: list[str] | None = None


def _cursor(found: Sequence[object]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(found[:2])).decode().rstrip("=")


def _place(cursor: str) -> tuple[int, str]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        date, identity = msgspec.json.decode(raw, type=tuple[int, str])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise BadRequest("cursor: is not one that this server gave") from None
    if abs(date) > 2**62:
        raise BadRequest("cursor: is not one that this server gave")
    return date, identity
