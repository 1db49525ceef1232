"""The filters of the changes feed: which changes a reader wants to hear of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from after.errors import BadRequest, NotFound
from after.selector import compile_selector
from after.server.rows import Change, encode
from after.status import ENDED, REQUESTS, Status
from after.task import Document, is_task

Matches = Callable[[Change], bool]


def chosen(given: dict[str, str], body: Document) -> Matches | None:
    """Give the filter that a request names, None where it names none.

    As in CouchDB a selector counts only with `filter=_selector`. Raises `NotFound` for a filter that is not there.
    """
    name = given.get("filter", "")
    if not name:
        return None
    if name == "_selector":
        return by_selector(body.get("selector"))
    if name == "_doc_ids":
        return by_id(body.get("doc_ids"))
    if name == "_design":
        return lambda change: change.row.id.startswith("_design/")
    if name == "after/requests":
        return requests(given.get("worker", ""))
    if name.startswith("_"):
        raise BadRequest("unknown builtin filter name")
    raise NotFound("missing json key: filters" if name.startswith("after/") else "missing")


def on_documents(matches: Callable[[Document], bool]) -> Matches:
    """Give the filter that asks about documents with `_id`, `_rev` and, where it applies, `_deleted`."""
    return lambda change: matches(change.document)


def by_selector(selector: Any) -> Matches:
    """Give the filter for a selector; only one that asks for it hears of a deletion, since that has no fields."""
    matches = compile_selector(selector)
    if b"history" in encode(selector):  # a field that may be meant by it; other readers are spared the decoding
        return lambda change: matches(change.row.document())
    return on_documents(matches)


def by_id(identities: Any) -> Matches:
    """Give the filter for a list of ids."""
    if not isinstance(identities, list) or not all(isinstance(identity, str) for identity in identities):
        raise BadRequest("`doc_ids` filter parameter is not a list of doc ids.")
    wanted = frozenset(identities)
    return lambda change: change.row.id in wanted


def requests(worker: str) -> Matches:
    """Give the filter for what a worker has to act on.

    These are the requests to it, and tasks that somebody else ended while it held them.
    """
    if not worker:
        raise BadRequest("worker: is required with the filter after/requests")

    def matches(change: Change) -> bool:
        task = change.document
        if task.get("worker") != worker or change.row.deleted or not is_task(task):
            return False
        status = task.get("status") or Status.WAITING
        return status in REQUESTS or (status in ENDED and bool(task.get("claim")))

    return matches
