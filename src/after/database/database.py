"""One database, behind one URL or several, as workers and clients use it."""

from __future__ import annotations

import email.utils
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from yarl import URL

from after.clock import Clock, SystemClock
from after.database.answers import ANSWERS, DOCUMENT, GOTTEN, ROWS, ViewRow, Written, plain, read, written
from after.database.feed import Change, changes
from after.database.nodes import DEFAULT_URL
from after.database.transport import TIMEOUT, Reply, Transport, refused
from after.errors import BadRequest, Conflict, NotFound, Refusal, TooLarge
from after.task import Document

_encode = msgspec.json.Encoder().encode


class Database:
    """Speaks to the database at `url`, `http://[USER:PASSWORD@]HOST:PORT/NAME`. Use it as an async context manager.

    Several URLs of the same database, separated by commas, are the nodes of a cluster: when one does not answer, the
    next is asked. Every method raises the `Refusal` that was answered, or `Unreachable` where nothing was within
    `timeout` seconds, None for as long as it takes. A `transport` of one's own takes the requests in the URL's place.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        clock: Clock | None = None,
        *,
        timeout: float | None = TIMEOUT,
        transport: Transport | None = None,
    ) -> None:
        self._transport = transport or Transport(url, timeout)
        self.skew: float | None = None
        """Seconds by which the engine's clock is ahead of ours at the least, by its last answer."""
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"Database({','.join(str(node.url) for node in self._transport.nodes)!r})"

    @property
    def url(self) -> URL:
        """The URL that is asked now, without the account."""
        return self._transport.node.url

    async def __aenter__(self) -> Database:
        self._transport.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._transport.close()

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None
    ) -> bytes:
        """Send one request to a path below the database and give the answer's body."""
        return (await self._ask(method, path, query, body)).content

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None, body: object, *, beside: bool = False
    ) -> Reply:
        sent = self._clock.time()
        reply = await self._transport.ask(method, path, query, None if body is None else _encode(body), beside=beside)
        self._look_at_date(reply.date, sent)
        if reply.status >= 400:
            raise refused(reply.status, reply.content)
        return reply

    async def info(self) -> Document:
        """Give the description of the database, `update_seq` among it."""
        try:
            return read(DOCUMENT, await self.request("GET", ""))
        except NotFound as error:
            raise NotFound(f"{self.url}: {error.reason}; run: after install {self.url}") from None

    async def engine(self, path: str = "") -> Document:
        """Give what the engine says of itself beside the database: `version` and `vendor`, or what `path` tells."""
        return read(DOCUMENT, (await self._ask("GET", path, None, None, beside=True)).content)

    async def replicate(self, wanted: Mapping[str, Any]) -> Document:
        """Let a CouchDB copy a database into another, wait for the end, and give what it tells of it."""
        return read(DOCUMENT, (await self._ask("POST", "_replicate", None, wanted, beside=True)).content)

    async def get(self, identity: str) -> Document:
        """Give a document; raise `NotFound` where there is none."""
        return read(DOCUMENT, await self.request("GET", _path(identity)))

    async def leaves(self, identities: Sequence[str]) -> dict[str, list[Document]]:
        """Give the current revisions of documents, by id: more than one where they conflict, none that are deleted."""
        if not identities:
            return {}
        body = {"docs": [{"id": identity} for identity in identities]}
        content = await self.request("POST", "_bulk_get", body=body)
        return {
            one.id: [leaf.ok for leaf in one.docs if leaf.ok is not None and not leaf.ok.get("_deleted")]
            for one in read(GOTTEN, content).results
        }

    async def write(
        self, documents: Sequence[Mapping[str, Any] | msgspec.Raw], *, again: bool = False
    ) -> list[Written | Refusal]:
        """Write documents; give for each, in order, what became of it.

        They go in one request, or in more where the engine refuses one as a whole, so that a document that is too large
        is refused alone. `again` says that the same write was sent before and not answered: then, as where a node fell
        silent and another was asked, what conflicts only with itself is written.
        """
        try:
            reply = await self._ask("POST", "_bulk_docs", None, {"docs": documents})
        except (BadRequest, TooLarge) as error:
            if len(documents) == 1:
                return [error]
            half = len(documents) // 2
            return [
                *await self.write(documents[:half], again=again), *await self.write(documents[half:], again=again)
            ]  # fmt: skip
        answers = [written(answer) for answer in read(ANSWERS, reply.content)]
        return await self._settled(documents, answers) if again or reply.again else answers

    async def _settled(
        self, documents: Sequence[Mapping[str, Any] | msgspec.Raw], answers: list[Written | Refusal]
    ) -> list[Written | Refusal]:
        """Find among the conflicts those with the same write, whose first answer was lost."""
        own = {place: plain(documents[place]) for place, one in enumerate(answers) if isinstance(one, Conflict)}
        stored = await self.get_many([document["_id"] for document in own.values()])
        for place, document in own.items():
            found = stored.get(document["_id"])
            if found is None and document.get("_deleted"):
                answers[place] = Written(document["_id"], document["_rev"])
            elif found is not None and {**found, "_rev": None} == {**document, "_rev": None}:
                answers[place] = Written(found["_id"], found["_rev"])
        return answers

    async def put(self, document: Mapping[str, Any]) -> str:
        """Write one document and give its new revision."""
        (answer,) = await self.write([document])
        if isinstance(answer, Refusal):
            raise answer
        return answer.rev

    async def view(self, name: str, **parameters: object) -> list[ViewRow]:
        """Give the rows of one of After's views. Parameters are CouchDB's, as Python values."""
        try:
            return await self._read(f"_design/after/_view/{name}", parameters)
        except NotFound as error:
            raise NotFound(
                f"{self.url} has no view {name!r} of After ({error.reason}); run: after install {self.url}"
            ) from None

    async def view_keys(self, name: str, keys: Sequence[object], **parameters: object) -> list[ViewRow]:
        """Give the rows of one of After's views that have one of these keys, however many keys they are."""
        if not keys:
            return []
        body = {"keys": keys, **parameters}
        return read(ROWS, await self.request("POST", f"_design/after/_view/{name}", body=body)).rows

    async def pages(
        self, name: str, *, startkey: object, size: int, **parameters: object
    ) -> AsyncIterator[list[ViewRow]]:
        """Give the rows of a view from a key on, page by page, each row once, however it changes meanwhile."""
        start: dict[str, object] = {"startkey": startkey}
        last = None
        while True:
            rows = await self.view(name, **start, **parameters, limit=size)
            # Going on behind the last row by skipping one would leave out another where that row is gone by now.
            if page := rows[1:] if rows and (rows[0].key, rows[0].id) == last else rows:
                yield page
            if len(rows) < size:
                return
            last = rows[-1].key, rows[-1].id
            start = {"startkey": rows[-1].key, "startkey_docid": rows[-1].id}

    async def all(self, **parameters: object) -> list[ViewRow]:
        """Give the rows of `_all_docs`. Parameters are CouchDB's, as Python values."""
        return await self._read("_all_docs", parameters)

    async def all_of(self, identities: Sequence[str]) -> list[ViewRow]:
        """Give the rows of `_all_docs` for these ids, without a document where there is none or it is deleted."""
        if not identities:
            return []
        content = await self.request("POST", "_all_docs", query={"include_docs": "true"}, body={"keys": identities})
        return read(ROWS, content).rows

    async def get_many(self, identities: list[str]) -> dict[str, Document]:
        """Give those of the documents that exist, by id."""
        return {row.id: row.doc for row in await self.all_of(identities) if row.doc is not None}

    async def revs(self, identities: Sequence[str]) -> dict[str, str]:
        """Give the revisions of those of the documents that exist, by id."""
        if not identities:
            return {}
        rows = read(ROWS, await self.request("POST", "_all_docs", body={"keys": identities})).rows
        return {row.id: row.value["rev"] for row in rows if row.id and not row.value.get("deleted")}

    async def revs_from(self, start: str, end: str, size: int) -> AsyncIterator[dict[str, str]]:
        """Give the revisions of the documents with ids from `start` to `end`, by id, page by page."""
        last = None
        while True:
            rows = await self.all(startkey=last or start, endkey=end, limit=size)
            if page := {row.id: row.value["rev"] for row in rows if row.id != last}:
                yield page
            if len(rows) < size:
                return
            last = rows[-1].id

    async def remove(self, revs: Mapping[str, str]) -> list[str]:
        """Delete documents, given by id as the revision that is known; give the ids of those that had not changed."""
        gone = [{"_id": identity, "_rev": rev, "_deleted": True} for identity, rev in revs.items()]
        answers = await self.write(gone) if gone else []
        return [identity for identity, answer in zip(revs, answers, strict=True) if isinstance(answer, Written)]

    async def compact(self) -> None:
        """Ask the engine to give back the space of what was deleted or overwritten; `info` tells while it does so.

        On CouchDB it takes an administrator of the database.
        """
        await self.request("POST", "_compact", body={})

    def changes(
        self, *, since: object, selector: Mapping[str, Any], heartbeat: float = 5.0
    ) -> AsyncIterator[list[Change]]:
        """Follow the changes that match a selector, documents included, until the connection ends.

        `heartbeat` is the seconds between signs of life; after three without one it raises `Unreachable`.
        """
        return changes(self._transport, since=since, selector=selector, heartbeat=heartbeat)

    async def _read(self, path: str, parameters: Mapping[str, object]) -> list[ViewRow]:
        query = {
            # Ids of documents are the only parameters that are not JSON.
            name: str(value) if name.endswith("_docid") else _encode(value).decode()
            for name, value in parameters.items()
        }
        return read(ROWS, await self.request("GET", path, query=query)).rows

    def _look_at_date(self, date: str | None, sent: float) -> None:
        """Note by how much the clocks differ at the least: the header is cut to the second, and took time to come."""
        if date is not None:
            told = email.utils.parsedate_to_datetime(date).timestamp()
            ahead, behind = told - self._clock.time(), told + 1.0 - sent
            self.skew = max(ahead, 0.0) or min(behind, 0.0)


def _path(identity: str) -> str:
    if identity.startswith(("_design/", "_local/")):
        kind, _, name = identity.partition("/")
        return f"{kind}/{quote(name, safe='')}"
    return quote(identity, safe="")
