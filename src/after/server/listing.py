"""Lists of tasks: which are wanted, and reading them along an index, in order of date and id, page by page."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import blake2b
from itertools import product
from typing import Any

import msgspec

from after.dates import EARLIEST, LATEST, parse_instant
from after.errors import BadRequest
from after.server.http import number
from after.server.rows import Row, encode
from after.server.sql import ROW
from after.server.store import Store
from after.status import STATUSES, Status
from after.task import Document, checked, is_task

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
FILTERS = frozenset({"worker", "status", "tag"})
PARAMETERS = FILTERS | {"from", "to", "limit", "cursor"}

Position = tuple[int, str]
"""Date and id of a task: what a list is ordered by."""
Found = tuple[Any, ...]
"""The columns of `rows.Row`, and the date."""


class Filter(msgspec.Struct, frozen=True):
    """Which tasks are wanted; no statuses means all of them."""

    worker: str | None = None
    statuses: tuple[str, ...] = ()
    tag: str | None = None

    @classmethod
    def from_query(cls, given: dict[str, str]) -> Filter:
        """Read the parameters of a request; raise `BadRequest` for one that is wrong."""
        for name in FILTERS & given.keys():
            if not given[name]:
                raise BadRequest(f"{name}: must not be empty")
        statuses = sorted(set(given["status"].split(","))) if "status" in given else ()
        for status in statuses:
            if status not in STATUSES:
                raise BadRequest(f"status: {status!r:.80} is not one of {', '.join(Status)}")
        return cls(given.get("worker"), tuple(statuses), given.get("tag"))

    def matches(self, document: Document) -> bool:
        """Tell whether a document is a task that is wanted."""
        return (
            is_task(document)
            and self.worker in (None, document.get("worker"))
            and (not self.statuses or (document.get("status") or Status.WAITING) in self.statuses)
            and (self.tag is None or self.tag in (document.get("tags") or ()))
        )


class Wanted(msgspec.Struct, frozen=True):
    """A page of a list: from the instant `low` to before `high`, behind the position `last`."""

    filter: Filter
    limit: int
    low: int = EARLIEST
    high: int = LATEST + 1
    last: Position | None = None

    @classmethod
    def from_query(cls, given: dict[str, str], secret: str) -> Wanted:
        """Read the parameters of a request; raise `BadRequest` for one that is wrong."""
        return cls(
            Filter.from_query(given),
            limit(given),
            checked("from", parse_instant, given["from"]) if "from" in given else EARLIEST,
            checked("to", parse_instant, given["to"]) if "to" in given else LATEST + 1,
            from_cursor(given["cursor"], secret, Position) if "cursor" in given else None,
        )


def limit(given: dict[str, str]) -> int:
    """Give how many elements a page may have."""
    return number(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)


async def tasks(store: Store, wanted: Wanted) -> AsyncIterator[bytes]:
    """Give the pieces of a page of a list as JSON: the tasks, and the cursor of the next page or null."""
    yield b'{"tasks":['
    between, left, cursor = b"\n", wanted.limit, None
    async for chunk in _chunks(store, wanted):
        page = chunk[:left]
        if page:
            yield between + b",\n".join([Row(*found[:5]).json() for found in page])
            between, last = b",\n", page[-1]
        left -= len(page)
        if len(page) < len(chunk):
            cursor = to_cursor((last[5], last[0]), store.uuid)
            break
    yield b'\n],"cursor":%s}\n' % encode(cursor)


async def _chunks(store: Store, wanted: Wanted) -> AsyncIterator[list[Found]]:
    """Give the rows that are wanted, and one more where there is one, a chunk at a time."""
    tag = wanted.filter.tag
    # One row more than asked for tells whether there is another page. How many rows have a tag is not known before.
    rows = store.chunks(_statement(wanted), limit=wanted.limit + 1 if tag is None else None)
    async for chunk in rows:
        yield chunk if tag is None else tagged(chunk, tag)


def _statement(wanted: Wanted) -> Callable[[Found | None], tuple[str, Sequence[object]]]:
    """Select along the index that fits; ranges that are each in order are merged by SQLite as it steps along them."""
    index, equal, equals = ranges(wanted.filter)
    part = (
        f"SELECT {ROW}, date FROM document INDEXED BY {index} "  # noqa: S608
        f"WHERE {equal} AND (date, id) > (?, ?) AND date < ?"
    )
    text = f"{' UNION ALL '.join([part] * len(equals))} ORDER BY date, id"
    first = (wanted.low, "") if wanted.last is None else max((wanted.low, ""), wanted.last)

    def statement(last: Found | None) -> tuple[str, Sequence[object]]:
        position = first if last is None else (last[5], last[0])
        return text, [value for values in equals for value in (*values, *position, wanted.high)]

    return statement


def ranges(wanted: Filter) -> tuple[str, str, list[tuple[str, ...]]]:
    """Give the index, what is equal in each of its ranges, and the values for each of them."""
    statuses = wanted.statuses or tuple(Status)
    if wanted.worker is not None:
        return "document_worker", "worker = ? AND status = ?", list(product([wanted.worker], statuses))
    if wanted.statuses:
        return "document_status", "status = ?", [(status,) for status in statuses]
    return "document_date", "status IS NOT NULL", [()]


class _Tagged(msgspec.Struct):
    tags: Any = None


_read_tags = msgspec.json.Decoder(_Tagged).decode


def tagged(chunk: list[Found], tag: str) -> list[Found]:
    """Give those of the rows, of the columns `rows.Row`, whose task bears a tag."""
    # Bodies are written by one encoder, so that a body without the tag's JSON in it does not have the tag.
    text = encode(tag)
    return [found for found in chunk if text in found[4] and tag in (_read_tags(found[4]).tags or ())]


def to_cursor(position: tuple[Any, ...], secret: str) -> str:
    """Give the text by which a client asks for what comes after a position: opaque, and safe in a URL."""
    raw = encode(position)
    seal = blake2b(raw, digest_size=6, key=secret.encode()).digest()
    return base64.urlsafe_b64encode(seal + raw).decode().rstrip("=")


def from_cursor(text: str, secret: str, kind: Any) -> Any:
    """Give the position, of the type `kind`, that `to_cursor` made a text of; raise `BadRequest` for any other text."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)[6:]
        position = msgspec.json.decode(raw, type=kind)
    except ValueError:
        position = None
    if position is None or to_cursor(position, secret) != text:
        raise BadRequest("cursor: is not one that this server gave for this list")
    return position
