"""What an engine answers to the document protocol, as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from after.errors import Refusal, Unreachable, refusal
from after.task import Document


class Written(Struct):
    """The answer to a document that was written. `accepted` means that a cluster did not take it for certain."""

    id: str
    rev: str
    accepted: bool = False


class ViewRow(Struct):
    """A row of a view; `doc` where documents were asked for. A row that was reduced has no `id`."""

    id: str = ""
    key: Any = None
    value: Any = None
    doc: Document | None = None


class _Answer(Struct):
    id: str
    rev: str = ""
    accepted: bool = False
    error: str | None = None
    reason: str = ""


class _Rows(Struct):
    rows: list[ViewRow]


class _Leaf(Struct):
    ok: Document | None = None


class _Got(Struct):
    id: str
    docs: list[_Leaf]


class _Gotten(Struct):
    results: list[_Got]


T = TypeVar("T")

# What answers are read by: to a bulk write, of one document, of rows, of revisions.
ANSWERS = msgspec.json.Decoder(list[_Answer])
DOCUMENT = msgspec.json.Decoder(Document)
ROWS = msgspec.json.Decoder(_Rows)
GOTTEN = msgspec.json.Decoder(_Gotten)
_CODES = {
    "conflict": 409,
    "forbidden": 403,
    "unauthorized": 401,
    "bad_request": 400,
    "too_large": 413,
    "not_found": 404,
    # What a cluster says of a document when too few of its nodes have answered: it may be written or not.
    "internal_server_error": 503,
    "timeout": 503,
    "write_quorum_not_met": 503,
    "nodedown": 503,
}


def read(decoder: msgspec.json.Decoder[T], content: bytes) -> T:
    """Read an answer; raise `Unreachable` where it is not what an engine answers, as with a proxy before one."""
    try:
        return decoder.decode(content)
    except msgspec.DecodeError as error:
        raise Unreachable(f"what answered is no CouchDB and no After: {error}") from None


def written(answer: _Answer) -> Written | Refusal:
    """Give the answer to one document of a bulk write: that it was taken, or why not."""
    if answer.error is None:
        return Written(answer.id, answer.rev, answer.accepted)
    return refusal(_CODES.get(answer.error, 500), answer.error, answer.reason)


def plain(document: Mapping[str, Any] | msgspec.Raw) -> Document:
    """Give a document as it comes back from the engine: whatever is not JSON has become it."""
    return DOCUMENT.decode(document if isinstance(document, msgspec.Raw) else msgspec.json.encode(document))
