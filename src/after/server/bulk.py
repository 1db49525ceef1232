"""Many documents in one request: `_bulk_docs`, `_bulk_get` and `_all_docs`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after.errors import BadRequest, Refusal
from after.server import viewquery
from after.server.http import JSON, body, decode_object, flag, parameters, split
from after.server.incoming import decode_written
from after.server.protocol import array, check_identity, check_rev, edit, new_id, replicated, streamed
from after.server.reading import Shown, at, leaves, told
from after.server.rows import Answer, Edit, Row, encode
from after.server.store import CHUNK, Store
from after.server.viewquery import ViewQuery
from after.server.viewrows import ALL_DOCS, cut, ending, row_of, rows

BATCH = 250
"""Documents checked without letting the event loop go on."""


class _Documents(msgspec.Struct):
    docs: Raw = Raw(b"")
    new_edits: Any = True


_documents = msgspec.json.Decoder(_Documents).decode


class Refused(msgspec.Struct, frozen=True):
    """A document that never reached the store, and why; `id` is empty where it has none."""

    id: str
    refusal: Refusal


class Bulk:
    """Answers the requests of many documents of the database `name`."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def routes(self) -> list[BaseRoute]:
        """Give the routes."""
        return [
            Route(f"/{self._name}/_bulk_docs", self.bulk_docs, methods=["POST"]),
            Route(f"/{self._name}/_bulk_get", self.bulk_get, methods=["POST"]),
            Route(f"/{self._name}/_all_docs", self.all_docs, methods=["GET", "POST"]),
        ]

    async def bulk_docs(self, request: Request) -> Response:
        """Write documents, and tell for each, in order, what became of it.

        A document that is wrong is refused alone; in CouchDB one that is no document refuses the whole request.
        """
        asked = _asked(await body(request))
        elements = split(asked.docs)
        checked: list[Edit | Refused] = []
        for start in range(0, len(elements), BATCH):
            checked += [_checked(element, new_edits=asked.new_edits) for element in elements[start : start + BATCH]]
            await asyncio.sleep(0)
        answers = iter(await self._store.write([one for one in checked if isinstance(one, Edit)]))
        told = [(one.id, next(answers) if isinstance(one, Edit) else one.refusal) for one in checked]
        # Of replicated revisions only those that were refused are told.
        lines = [_line(identity, answer) for identity, answer in told if asked.new_edits or isinstance(answer, Refusal)]
        return JSON(b"[%s]\n" % b",".join(lines), 201)

    async def bulk_get(self, request: Request) -> Response:
        """Give documents by id and, where it is named, revision; without one all leaves."""
        given = parameters(request, {"revs", "latest", "attachments", "att_encoding_info", "r"})
        wanted = decode_object(await body(request)).get("docs")
        if not isinstance(wanted, list):
            raise BadRequest("Missing JSON list of 'docs'.")
        shown = Shown(revs=flag(given, "revs"))
        chunks = self._got(wanted, shown, flag(given, "latest"))
        return await streamed(array(chunks, b'{"results":[', b"\n]}\n"))

    async def all_docs(self, request: Request) -> Response:
        """Give the documents between two ids, or those with some ids."""
        query = await viewquery.read(request)
        viewquery.check_map(query)
        if query.startkey is UNSET and query.startkey_docid is not None:
            query = msgspec.structs.replace(query, startkey=query.startkey_docid)
        if query.endkey is UNSET and query.endkey_docid is not None:
            query = msgspec.structs.replace(query, endkey=query.endkey_docid)
        lines = self._ranged(query) if query.keys is None else self._named(query, query.keys)
        return await streamed(array(lines, self._head(query), b"\n]}\n"))

    def _head(self, query: ViewQuery) -> bytes:
        whole = query.startkey is UNSET and query.keys is None
        members = {"total_rows": self._store.sizes()["documents"], "offset": query.skip if whole else None}
        if query.update_seq:
            members["update_seq"] = self._store.seq
        return encode(members)[:-1] + b',"rows":['

    async def _ranged(self, query: ViewQuery) -> AsyncIterator[list[bytes]]:
        async for chunk in cut(rows(self._store, ALL_DOCS, query), query.skip, query.limit):
            yield [self._row(query, row_of(found)) for found in chunk]

    async def _named(self, query: ViewQuery, keys: list[Any]) -> AsyncIterator[list[bytes]]:
        wanted = keys[::-1] if query.descending else keys
        wanted = wanted[query.skip :] if query.limit is None else wanted[query.skip : query.skip + query.limit]
        for start in range(0, len(wanted), CHUNK):
            yield [self._named_row(query, key) for key in wanted[start : start + CHUNK]]
            await asyncio.sleep(0)

    def _named_row(self, query: ViewQuery, key: Any) -> bytes:
        row = self._store.get(key) if isinstance(key, str) else None
        if row is None:
            return b'{"key":%s,"error":"not_found"}' % encode(key)
        if not row.deleted:
            return self._row(query, row)
        line = b'{"id":%s,"key":%s,"value":{"rev":"%s","deleted":true}' % (encode(key), encode(key), row.rev.encode())
        return line + (b',"doc":null}' if query.include_docs else b"}")

    def _row(self, query: ViewQuery, row: Row) -> bytes:
        identity = encode(row.id)
        line = b'{"id":%s,"key":%s,"value":{"rev":"%s"}' % (identity, identity, row.rev.encode())
        return line + ending(self._store, query, row)

    async def _got(self, wanted: list[Any], shown: Shown, latest: bool) -> AsyncIterator[list[bytes]]:
        for start in range(0, len(wanted), CHUNK):
            yield [self._result(one, shown, latest) for one in wanted[start : start + CHUNK]]
            await asyncio.sleep(0)

    def _result(self, wanted: Any, shown: Shown, latest: bool) -> bytes:
        identity = rev = None
        try:
            if not isinstance(wanted, dict):
                raise BadRequest("document must be a JSON object")
            if "id" not in wanted:
                raise BadRequest("document id missed")
            identity, rev = wanted["id"], wanted.get("rev")
            docs = self._revisions(check_identity(identity), rev, shown, latest)
        except Refusal as refusal:
            docs = [_error(identity, rev, refusal.error, refusal.reason)]
        return b'{"id":%s,"docs":[%s]}' % (encode(identity), b",".join(docs))

    def _revisions(self, identity: str, rev: Any, shown: Shown, latest: bool) -> list[bytes]:
        known = leaves(self._store, identity)
        found = known if rev is None else at(known, check_rev(rev), latest=latest)
        docs = [b'{"ok":%s}' % told(self._store, one.row, shown, known) for one in found]
        return docs or [_error(identity, rev or "undefined", "not_found", "missing")]


def _error(identity: Any, rev: Any, error: str, reason: str) -> bytes:
    return encode({"error": {"id": identity, "rev": rev, "error": error, "reason": reason}})


def _asked(raw: bytes) -> _Documents:
    """Read a request, but for its documents."""
    try:
        asked = _documents(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not a JSON object: {error}") from None
    docs = memoryview(asked.docs)
    if not docs:
        raise BadRequest("POST body must include `docs` parameter.")
    if docs[0] != ord("["):
        raise BadRequest("`docs` parameter must be an array.")
    if not isinstance(asked.new_edits, bool):
        raise BadRequest("`new_edits` parameter must be a boolean.")
    return asked


def _checked(element: Raw, *, new_edits: bool) -> Edit | Refused:
    identity: Any = ""
    try:
        document = decode_written(element)
        identity = document["_id"] if "_id" in document else new_id()
        check_identity(identity)
        if not new_edits:
            return replicated(document, identity)
        base = document.get("_rev")
        return edit(document, identity, None if base is None else check_rev(base))
    except Refusal as refusal:
        return Refused(identity if isinstance(identity, str) else "", refusal)


def _line(identity: str, answer: Answer) -> bytes:
    if isinstance(answer, Refusal):
        return encode({"id": identity, "error": answer.error, "reason": answer.reason})
    return b'{"ok":true,"id":%s,"rev":"%s"}' % (encode(identity), answer.rev.encode())
