"""What CouchDB's document protocol says about ids, revisions and errors, and what every endpoint of it shares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec
import uuid_utils
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from after.errors import BadRequest, Forbidden, InvalidTask
from after.server import edits, revision
from after.server.rows import Edit
from after.status import Role
from after.task import MAX_ID_LENGTH, Document

DESIGN = "_design/"
LOCAL = "_local/"
SMALL = 256 * 1024
"""An answer up to so many bytes is sent whole, with its length; a longer one is streamed."""


def refused(error: str, reason: str) -> BadRequest:
    """Give the 400 that bears one of CouchDB's own names."""
    refusal = BadRequest(reason)
    refusal.error = error
    return refusal


def new_id() -> str:
    """Give the id of a document that came without one: a UUIDv7 in hex, so that ids ascend with time."""
    return str(uuid_utils.uuid7().hex)


def check_identity(value: Any) -> str:
    """Give the id of a document; raise CouchDB's `illegal_docid` unless a stored document may have it."""
    if not isinstance(value, str):
        raise refused("illegal_docid", "Document id must be a string")
    if not value:
        raise refused("illegal_docid", "Document id must not be empty")
    if len(value) > MAX_ID_LENGTH:
        raise refused("illegal_docid", "Document id is too long")
    if value.startswith("_") and (not value.startswith(DESIGN) or value == DESIGN):
        raise refused("illegal_docid", "Only reserved document ids may start with underscore.")
    if "\0" in value:
        raise refused("illegal_docid", "Document id must not contain the character U+0000")
    return value


def check_rev(value: Any) -> str:
    """Give a revision; raise `BadRequest` where it is none."""
    if not isinstance(value, str) or not revision.REV.match(value):
        raise BadRequest("Invalid rev format")
    return value


def edit(document: Document, identity: str, base: str | None) -> Edit:
    """Give the edit of a document that came through the document protocol.

    With no users everybody acts as a worker there. Errors are CouchDB's: a wrong field of a task is what
    `validate_doc_update` refuses (`Forbidden`), an unknown field with an underscore is `doc_validation`.
    """
    if document.get("_attachments"):
        raise BadRequest("_attachments: are not supported")
    if not isinstance(document.get("_deleted", False), bool):
        raise refused("doc_validation", "Bad special document member: _deleted")
    try:
        return edits.edit(document, identity, base, Role.WORKER)
    except InvalidTask as error:
        raise Forbidden(error.reason) from None
    except BadRequest as error:
        name = error.reason.partition(":")[0]
        raise refused("doc_validation", f"Bad special document member: {name}") from None


def replicated(document: Document, identity: str) -> Edit:
    """Give the edit that stores a document as the very revision that it says it is (`new_edits: false`).

    Its fields are checked as ever; which status came after which was decided where it was written.
    """
    rev, ancestry = _lineage(document)
    return msgspec.structs.replace(edit(document, identity, None), rev=rev, ancestry=ancestry)


def _lineage(document: Document) -> tuple[str, str]:
    """Give a document's revision and the hashes of those before it, newest first, joined by commas."""
    told, rev = document.get("_revisions"), document.get("_rev")
    if told is None:
        if rev is None:
            raise BadRequest("When `new_edits: false`, the document needs `_rev` or `_revisions` specified")
        return check_rev(rev), ""
    if not isinstance(told, dict) or not isinstance(told.get("start"), int):
        raise refused("doc_validation", "_revisions.start isn't an integer.")
    start, ids = told["start"], told.get("ids")
    if not isinstance(ids, list) or not 0 < len(ids) <= start:
        raise refused("doc_validation", "_revisions.ids isn't a array.")
    for back, own in enumerate(ids):
        check_rev(f"{start - back}-{own}")
    return f"{start}-{ids[0]}", ",".join(ids[1 : revision.REVS_LIMIT])


def segments(request: Request) -> list[str]:
    """Give the parts of the path behind the database, each decoded by itself, so that `a%2Fb` is one part.

    The slash of `_design/…` and `_local/…` may be written either way. Raises `illegal_docid` for what is not UTF-8.
    """
    parts = request.scope["raw_path"].decode("latin-1").split("/")[2:]
    try:
        parts = [unquote(part, errors="strict") for part in parts]
    except UnicodeDecodeError:
        raise refused("illegal_docid", "Document id must be valid UTF-8") from None
    if len(parts) > 1 and f"{parts[0]}/" in (DESIGN, LOCAL):
        parts[:2] = ["/".join(parts[:2])]
    return parts


def matches_etag(request: Request, etag: str) -> bool:
    """Tell whether the client has this version already (RFC 9110, 13.1.2)."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in given.split(",")]


async def streamed(pieces: AsyncIterator[bytes], media_type: str = "application/json") -> Response:
    """Give an answer whose pieces are read as the client takes them; what is wrong with the first is still an error."""
    first: list[bytes] = []
    size = 0
    async for piece in pieces:
        first.append(piece)
        size += len(piece)
        if size > SMALL:
            return StreamingResponse(_joined(first, pieces), media_type=media_type)
    return Response(b"".join(first), media_type=media_type)


async def _joined(first: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield b"".join(first)
    async for piece in rest:
        yield piece


async def array(chunks: AsyncIterator[list[bytes]], head: bytes, tail: bytes) -> AsyncIterator[bytes]:
    """Give the pieces of a JSON array with what stands before and behind it; each chunk is some of its elements."""
    yield head
    between = b"\n"
    async for chunk in chunks:
        if chunk:
            yield between + b",\n".join(chunk)
            between = b",\n"
    yield tail
