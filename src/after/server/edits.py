"""From a document to the edit that stores it: the checks that every way in shares."""

from __future__ import annotations

from msgspec import Raw

from after.errors import BadRequest
from after.server.rows import Edit, encode, keys
from after.status import Role
from after.step import without
from after.task import Document, check, is_task


def edit(document: Document, identity: str, base: str | None, role: Role) -> Edit:
    """Give the edit that puts `document` in the place of `base`.

    `_id`, `_rev` and `_deleted` are taken out of the body. Raises `InvalidTask` where the document is a task with a
    wrong field, `BadRequest` where a field begins with an underscore and is none of CouchDB's.
    """
    deleted = bool(document.get("_deleted"))
    kept = document.copy()
    kept.pop("_id", None)
    kept.pop("_rev", None)
    if "\n_" in "\n" + "\n".join(kept):  # one search instead of a look at every field
        kept = _plain(kept)
    found_by = keys(check(_unchecked(kept)), kept) if not deleted and is_task(kept) else None
    return Edit(identity, base, kept, encode(kept), found_by, deleted, role)


def _unchecked(document: Document) -> Document:
    """Give a document without a history that was checked when it was read (`after.server.incoming`)."""
    return without(document, "history") if type(document.get("history")) is Raw else document


def _plain(document: Document) -> Document:
    """Leave out what CouchDB has fields for; refuse any other field that begins with an underscore."""
    kept = {field: value for field, value in document.items() if field not in _SPECIAL}
    for field in kept:
        if field.startswith("_"):
            raise BadRequest(f"{field}: a field must not begin with '_'")
    return kept


_SPECIAL = frozenset(
    {
        "_id",
        "_rev",
        "_deleted",
        "_revisions",
        "_conflicts",
        "_deleted_conflicts",
        "_attachments",
        "_revs_info",
        "_local_seq",
    }
)
