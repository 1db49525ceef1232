"""The database and its documents, one at a time, as CouchDB's document protocol has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from after.errors import BadRequest, NotFound, PreconditionFailed, Refusal
from after.server.bulk import Bulk
from after.server.http import JSON, body, decode, decode_document, flag, parameters
from after.server.protocol import (
    DESIGN,
    LOCAL,
    check_identity,
    check_rev,
    edit,
    matches_etag,
    new_id,
    replicated,
    segments,
)
from after.server.reading import Revision, Shown, at, current, leaves, told
from after.server.replication import Replication
from after.server.revision import REVS_LIMIT
from after.server.rows import Edit, Row, encode
from after.server.store import Store
from after.task import Document

READ = frozenset({
    "rev", "revs", "revs_info", "conflicts", "deleted_conflicts", "meta", "local_seq", "open_revs", "latest",
    "attachments", "att_encoding_info", "atts_since", "r",
})  # fmt: skip
WRITE = frozenset({"rev", "batch", "new_edits", "w"})
ANY_TYPE = ("application/json", "application/x-www-form-urlencoded", "application/octet-stream", "text/plain", "")
"""What a PUT may declare its body as: CouchDB reads it as JSON whatever that is."""
BOUNDARY = "after-revision"


class Documents:
    """Answers for the database `name`: its description, its documents, and many of them at once."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._bulk = Bulk(store, name)
        self._replication = Replication(store, name)

    def routes(self) -> list[BaseRoute]:
        """Give the routes of the database and of all below it that is a document."""
        base = f"/{self._name}"
        return [
            *self._bulk.routes(),
            *self._replication.routes(),
            *(Route(path, self.database, methods=["GET", "PUT", "POST"]) for path in (base, f"{base}/")),
            Route(f"{base}/_ensure_full_commit", self.commit, methods=["POST"]),
            Route(f"{base}/_compact", self.compact, methods=["POST"]),
            Route(f"{base}/_security", self.security, methods=["GET"]),
            Route(f"{base}/_revs_limit", self.revs_limit, methods=["GET"]),
            DocumentRoute(f"{base}/{{rest:path}}", self.document, methods=["GET", "PUT", "DELETE"]),
        ]

    async def database(self, request: Request) -> Response:
        """Describe the database, refuse to make it again, or take a document with or without an id."""
        if request.method == "PUT":
            raise PreconditionFailed("The database could not be created, the file already exists.")
        if request.method != "POST":
            return JSON(self._description())
        parameters(request, WRITE - {"rev"})
        document = decode_document(await body(request))
        identity = check_identity(document["_id"]) if "_id" in document else new_id()
        return await self._write(request, _edit(document, identity, document.get("_rev")))

    def _description(self) -> Document:
        sizes = self._store.sizes()
        return {
            "db_name": self._name,
            "update_seq": self._store.seq,
            "purge_seq": 0,
            "doc_count": sizes["documents"],
            "doc_del_count": sizes["deleted"],
            "sizes": {"file": sizes["file"], "active": sizes["active"]},
            "disk_format_version": 8,
            "compact_running": self._store.compaction.running,
            "props": {},
            "cluster": {"q": 1, "n": 1, "w": 1, "r": 1},
            "instance_start_time": "0",
        }

    async def commit(self, request: Request) -> Response:
        """Say that all is on the disk: it is, before any write is answered."""
        return JSON({"ok": True, "instance_start_time": "0"}, 201)

    async def compact(self, request: Request) -> Response:
        """Begin to give free space back to the disk; the description of the database says whether that goes on."""
        await body(request)
        self._store.compaction.start()
        return JSON({"ok": True}, 202)

    async def security(self, request: Request) -> Response:
        """Give the empty security object of a server without users."""
        return JSON({})

    async def revs_limit(self, request: Request) -> Response:
        """Say how much of a document's ancestry is kept."""
        return JSON(REVS_LIMIT)

    async def document(self, request: Request) -> Response:
        """Read, write or delete one document."""
        identity, *rest = segments(request)
        if rest:
            raise NotFound("Document is missing attachment")
        if identity.startswith(LOCAL):
            return await self._local(request, identity)
        check_identity(identity)
        if request.method == "PUT":
            given = parameters(request, WRITE)
            document = decode_document(await body(request, ANY_TYPE))
            base = _base(request, given, document.get("_rev"))
            if flag(given, "new_edits", default=True):
                return await self._write(request, _edit(document, identity, base))
            return await self._write(request, replicated({**document, "_rev": base}, identity))
        if request.method == "DELETE":
            given = parameters(request, WRITE)
            current(self._store, identity)
            return await self._write(request, _edit({"_deleted": True}, identity, _base(request, given, None)))
        return self._read(request, identity)

    async def _write(self, request: Request, new: Edit) -> Response:
        (answer,) = await self._store.write([new])
        if isinstance(answer, Refusal):
            raise answer
        place = f"{request.url.scheme}://{request.headers.get('host', '')}/{self._name}/{_in_path(new.id)}"
        code = 202 if request.query_params.get("batch") == "ok" else 200 if new.deleted else 201
        headers = {"Location": place, "ETag": f'"{answer.rev}"'}
        return JSON({"ok": True, "id": answer.id, "rev": answer.rev}, code, headers)

    def _read(self, request: Request, identity: str) -> Response:
        given = parameters(request, READ)
        shown = _shown(given)
        if "open_revs" in given:
            return self._open_revs(request, identity, given, shown)
        if "rev" in given:
            found = at(leaves(self._store, identity), check_rev(given["rev"]), latest=flag(given, "latest"))
            if not found:
                raise NotFound("missing")
            row = found[0].row
        else:
            row = current(self._store, identity)
        etag = f'"{row.rev}"'
        if shown.more():
            return JSON(told(self._store, row, shown))
        if matches_etag(request, etag):
            return Response(status_code=304, headers={"ETag": etag})
        return JSON(row.json(), headers={"ETag": etag})

    def _open_revs(self, request: Request, identity: str, given: dict[str, str], shown: Shown) -> Response:
        known = leaves(self._store, identity)
        if given["open_revs"] == "all":
            if not known:
                raise NotFound("missing")
            found: Sequence[Revision | str] = known
        else:
            wanted = decode(given["open_revs"].encode())
            if not isinstance(wanted, list):
                raise BadRequest("open_revs: expected an array of revisions, or all")
            found = _wanted(known, wanted, latest=flag(given, "latest"))
        if "multipart/mixed" in request.headers.get("accept", ""):
            return _multipart([
                ('application/json; error="true"', encode({"missing": one})) if isinstance(one, str)
                else ("application/json", self._told(one, shown, known))
                for one in found
            ])  # fmt: skip
        answers = [
            b'{"missing":%s}' % encode(one) if isinstance(one, str) else b'{"ok":%s}' % self._told(one, shown, known)
            for one in found
        ]
        return JSON(b"[%s]" % b",".join(answers))

    def _told(self, found: Revision, shown: Shown, known: list[Revision]) -> bytes:
        return told(self._store, found.row, shown, known)

    async def _local(self, request: Request, identity: str) -> Response:
        """Local documents have neither history nor feed; the last writer wins."""
        stored = self._store.get_local(identity)
        if identity == LOCAL:
            raise BadRequest("Invalid _local document id.")
        if request.method == "PUT":
            document = decode_document(await body(request, ANY_TYPE))
            kept = {name: value for name, value in document.items() if name not in ("_id", "_rev", "_revisions")}
            rev = await self._store.put_local(identity, encode(kept))
            return JSON({"ok": True, "id": identity, "rev": rev}, 201)
        if stored is None:
            raise NotFound("missing")
        if request.method == "DELETE":
            rev = await self._store.put_local(identity, None)
            return JSON({"ok": True, "id": identity, "rev": rev})
        return JSON(Row(identity, stored[0], 0, False, stored[1]).json())


class DocumentRoute(Route):
    """Matches the paths of documents, and leaves those of the database's own functions to other routes."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say no to a path below the database that begins with an underscore, unless a document may be there."""
        first, *more = scope["path"].split("/")[2:] or [""]
        function = first.startswith("_") and f"{first}/" not in (DESIGN, LOCAL)
        action = f"{first}/" == DESIGN and len(more) > 1 and more[1].startswith("_")
        return (Match.NONE, {}) if function or action else super().matches(scope)


def _edit(document: Document, identity: str, base: Any) -> Edit:
    return edit(document, identity, None if base is None else check_rev(base))


def _base(request: Request, given: dict[str, str], written: Any) -> Any:
    """Give the revision that a write is based on, from the body, the query or the header, which must agree."""
    query = given.get("rev")
    header = request.headers.get("if-match")
    match = None if header is None else header.strip().strip('"')
    if written is not None and query is not None and written != query:
        raise BadRequest("Document rev from request body and query string have different values")
    base = query if written is None else written
    if base is not None and match is not None and base != match:
        raise BadRequest("Document rev and etag have different values")
    return match if base is None else base


def _wanted(known: list[Revision], revs: list[Any], *, latest: bool) -> list[Revision | str]:
    """Give the revisions that are named, each once, and the names of those that are not there."""
    found: dict[str, Revision | str] = {}
    for rev in revs:
        matching = at(known, check_rev(rev), latest=latest)
        found.update({one.row.rev: one for one in matching} if matching else {rev: rev})
    return list(found.values())


def _shown(given: dict[str, str]) -> Shown:
    meta = flag(given, "meta")
    return Shown(
        revs=flag(given, "revs"),
        revs_info=meta or flag(given, "revs_info"),
        conflicts=meta or flag(given, "conflicts"),
        deleted_conflicts=meta or flag(given, "deleted_conflicts"),
        local_seq=flag(given, "local_seq"),
    )


def _in_path(identity: str) -> str:
    return quote(identity, safe="/" if identity.startswith(DESIGN) else "")


def _multipart(parts: list[tuple[str, bytes]]) -> Response:
    """Give revisions as the replicator of CouchDB likes to have them (RFC 2046, 5.1)."""
    lines = [
        b"--%s\r\nContent-Type: %s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), kind.encode(), content)
        for kind, content in parts
    ]
    content = b"".join([*lines, f"--{BOUNDARY}--".encode()])
    return Response(content, media_type=f'multipart/mixed; boundary="{BOUNDARY}"')
