"""What After's views hold, as data, and reading their rows from the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import UNSET

from after.server.keyrange import NEVER, NUMBER, TEXT, Condition, Kinds, condition, place
from after.server.reading import Shown, told
from after.server.rows import Row
from after.server.sql import ROW
from after.server.store import Store
from after.server.viewquery import ViewQuery

T = TypeVar("T")

Found = tuple[Any, ...]
"""A row of a view: the columns of its order, its value, and the columns of `rows.Row`."""


class View(NamedTuple):
    """A view as data. `source` gives `columns`, which with the id are the order of an index, and those of a row."""

    columns: tuple[str, ...]
    kinds: Kinds
    source: str
    where: str
    value: str = "NULL"
    scalar: bool = False
    counted: bool = False
    """Whether it holds each task once, so that the tally knows how many rows there are."""
    reduced: bool = False

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that tell a view's rows apart, in their order."""
        return self.columns if self.columns[-1] == "id" else (*self.columns, "id")


# From `worker:NAME:INSTANCE` all that stands before the last colon, with it: a name may have colons too.
_WORKERS = f"""(
SELECT substr(head, 8, length(head) - 8) AS worker, substr(id, length(head) + 1) AS instance,
       json_extract(CAST(body AS TEXT), '$.state') AS state, {ROW}
FROM (SELECT {ROW}, rtrim(id, replace(id, ':', '')) AS head FROM document
      WHERE id >= 'worker:' AND id < 'worker;' AND deleted = 0)
WHERE length(head) > 8 AND json_extract(CAST(body AS TEXT), '$.type') = 'worker')"""  # noqa: S608

# The worker that a document is about: a task's, or that of one of its processes.
_WORKER = """coalesce(worker, CASE WHEN json_extract(CAST(body AS TEXT), '$.type') IN ('worker', 'control')
                              THEN json_extract(CAST(body AS TEXT), '$.name') END)"""

# The blocked tasks, once for each id that they wait for.
_BLOCKED = """(
SELECT dependency, task AS id, rev, seq, deleted, body, worker
FROM dependency CROSS JOIN document ON document.id = dependency.task)"""

# A losing leaf that is deleted is no conflict any more.
_LOSING = "(SELECT 1 FROM leaf WHERE leaf.id = document.id AND leaf.deleted = 0)"

VIEWS: Final[Mapping[str, View]] = {
    "due": View(("worker", "due"), (TEXT, NUMBER), "document INDEXED BY document_due", "due IS NOT NULL"),
    "held": View(
        ("worker", "instance"), (TEXT, TEXT), "document INDEXED BY document_held", "instance IS NOT NULL"
    ),
    "blocked": View(("dependency",), (TEXT,), _BLOCKED, "1", value="worker"),
    "keyed": View(
        ("worker", "key", "place", "date"), (TEXT, TEXT, NUMBER, NUMBER),
        "document INDEXED BY document_keyed", "key IS NOT NULL", value="instance",
    ),
    "moved": View(
        ("date",), (NUMBER,), "document INDEXED BY document_moved", "moved IS NOT NULL", value="worker"
    ),
    "by_date": View(
        ("date",), (NUMBER,), "document INDEXED BY document_date", "status IS NOT NULL", counted=True
    ),
    "by_status": View(
        ("status", "date"), (TEXT, NUMBER), "document INDEXED BY document_status", "status IS NOT NULL", counted=True
    ),
    "by_worker": View(
        ("worker", "status", "date"), (TEXT, TEXT, NUMBER),
        "document INDEXED BY document_worker", "status IS NOT NULL", counted=True, reduced=True,
    ),
    "workers": View(("worker", "instance"), (TEXT, TEXT), _WORKERS, "1", value="state"),
    "conflicts": View(
        ("id",), (TEXT,), "document INDEXED BY document_conflicts",
        "conflicts > 0 AND deleted = 0 AND EXISTS " + _LOSING, value=_WORKER,
    ),
}  # fmt: skip
ALL_DOCS = View(("id",), (TEXT,), "document INDEXED BY document_id", "deleted = 0", scalar=True)


def conditions(view: View, query: ViewQuery) -> tuple[Condition | None, Condition | None]:
    """Give the conditions that the bounds of a query set for the first row and for the last."""
    forward, backward = (">", "<") if not query.descending else ("<", ">")
    start = end = None
    if query.startkey is not UNSET:
        bound = place(query.startkey, view.kinds, scalar=view.scalar)
        start = condition(view.columns, bound, f"{forward}=", query.startkey_docid)
    if query.endkey is not UNSET:
        bound = place(query.endkey, view.kinds, scalar=view.scalar)
        end = condition(view.columns, bound, f"{backward}=" if query.inclusive_end else backward, query.endkey_docid)
    return start, end


def statements(
    view: View, query: ViewQuery, columns: str, order: Sequence[str], group: str = ""
) -> Callable[[Found | None], tuple[str, tuple[Any, ...]]] | None:
    """Give what `Store.chunks` reads between the bounds of a query: `order`, which tells rows apart, and `columns`.

    None where no key at all can be between them.
    """
    start, end = conditions(view, query)
    if NEVER in (start, end):
        return None
    direction = " DESC" if query.descending else ""
    ordered = f"{group} ORDER BY {', '.join(f'{column}{direction}' for column in order)}"
    behind = f"({', '.join(order)}) {'<' if query.descending else '>'} ({', '.join('?' * len(order))})"
    select = f"SELECT {', '.join(order)}, {columns} FROM {view.source} WHERE {view.where}"  # noqa: S608

    def statement(last: Found | None) -> tuple[str, tuple[Any, ...]]:
        first = start if last is None else (behind, last[: len(order)])
        given = [one for one in (first, end) if one is not None]
        texts = [select, *(text for text, _ in given)]
        return f"{' AND '.join(texts)} {ordered}", tuple(chain.from_iterable(values for _, values in given))

    return statement


async def rows(store: Store, view: View, query: ViewQuery, after: Found | None = None) -> AsyncIterator[list[Found]]:
    """Read the rows of all keys of a query, or between its bounds, in chunks; `after` is a row to go on behind."""
    for part in [query] if query.keys is None else [query.one(key) for key in query.keys]:
        statement = statements(view, part, f"{view.value}, {ROW}", view.order)
        if statement is not None:
            async for chunk in store.chunks(statement, after, query.last()):
                yield chunk


async def cut(chunks: AsyncIterator[list[T]], skip: int, limit: int | None) -> AsyncIterator[list[T]]:
    """Leave out the first `skip` of what is read, and all after `limit` more."""
    left = limit
    if left == 0:
        return
    async for chunk in chunks:
        kept, skip = chunk[skip:], max(0, skip - len(chunk))
        if left is not None:
            kept = kept[:left]
            left -= len(kept)
        yield kept
        if left == 0:
            return


def row_of(found: Found) -> Row:
    """Give the document of a view's row."""
    return Row(*found[-5:])


def ending(store: Store, query: ViewQuery, row: Row) -> bytes:
    """Give the end of a row as JSON: its document where that was asked for."""
    if not query.include_docs:
        return b"}"
    return b',"doc":%s}' % (told(store, row, Shown(conflicts=True)) if query.conflicts else row.json())
