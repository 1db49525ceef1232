"""Moving a whole database from one engine to the other, by CouchDB's own replicator.

CouchDB copies: it pulls from the embedded server or pushes to it, so that documents arrive with their revisions and
nothing of ours stands between. What was copied before is not copied again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from yarl import URL

from after.clock import SystemClock, now
from after.database import Database
from after.database.answers import ViewRow
from after.errors import AfterError, NotFound, Refusal, Unreachable
from after.roster import PREFIX, is_alive
from after.task import Document

Progress = Callable[[str, int, int], None]
"""Is told what goes on, how much is done, and how much there is to do."""

POLL_SECONDS = 1.0
TRIES = 5
"""How often a copy is taken up again where the connection to the CouchDB that makes it is cut."""
SELECTOR: Document = {
    "_id": {"$not": {"$regex": "^_design/"}},
    "$or": [{"type": {"$exists": False}}, {"type": {"$ne": "worker"}}],
}
"""What is copied, deletions among it: all but design documents, which belong to a database, and what a worker process
tells of itself. A field that is not there, as in a deletion, is neither equal nor unequal to anything."""
OPTIONS: Document = {"worker_batch_size": 1000, "worker_processes": 4, "http_connections": 20, "use_bulk_get": True}


class Plan(NamedTuple):
    """From where to where, credentials in the URLs. `source_as` and `target_as` are the URLs as the CouchDB that copies
    sees them."""

    source: str
    target: str
    source_as: str | None = None
    target_as: str | None = None

    def request(self) -> Document:
        """Give the body of CouchDB's `_replicate`."""
        source = _endpoint(self.source, self.source_as)
        return {"source": source, "target": _endpoint(self.target, self.target_as), "selector": SELECTOR, **OPTIONS}

    def shown(self) -> tuple[str, str]:
        """Give source and target for people, without credentials."""
        return str(URL(self.source).with_user(None)), str(URL(self.target).with_user(None))


class Counts(NamedTuple):
    """What a database holds; `tasks` by worker and status, None where it has no view that counts them."""

    documents: int
    tasks: Mapping[tuple[str, str], int] | None


class Moved(NamedTuple):
    """What a copy has done. `refused` documents were not taken by the target."""

    written: int
    refused: int
    source: Counts
    target: Counts

    def differences(self) -> list[tuple[str, int, int]]:
        """Give what is not the same on both sides: what it is, how many at the source, how many at the target."""
        found = [("documents", self.source.documents, self.target.documents)]
        ours, theirs = self.source.tasks, self.target.tasks
        if ours is not None and theirs is not None:
            for worker, status in sorted(ours.keys() | theirs.keys()):
                key = worker, status
                found.append((f"tasks of {worker}, {status}", ours.get(key, 0), theirs.get(key, 0)))
        return [(what, one, other) for what, one, other in found if one != other]


def _endpoint(url: str, seen_as: str | None) -> Document:
    """Give a database as `_replicate` takes it; the password never stands in a URL, which CouchDB would write down."""
    whole = URL(seen_as or url)
    user = whole if whole.user else URL(url)
    told: Document = {"url": str(whole.with_user(None))}
    if user.user:
        told["auth"] = {"basic": {"username": user.user, "password": user.password or ""}}
    return told


async def move(plan: Plan, *, check: bool, live: bool, progress: Progress) -> Moved:
    """Copy a database and compare; without `check` also to a CouchDB without After's design document.

    Raises `AfterError` where it cannot be done: two embedded servers, a target that is not installed, a source with
    running workers unless `live`, or a copy that CouchDB gives up.
    """
    async with Database(plan.source, timeout=None) as source, Database(plan.target, timeout=None) as target:
        copying = await _copying(source, target)
        if check and copying is target:
            await _check_installed(target)
        if not live:
            await _check_idle(source)
        written, refused = await _copy(plan, copying, source, target, progress)
        progress("counting", 0, 0)
        return Moved(written, refused, await _counts(source), await _counts(target))


async def _copying(source: Database, target: Database) -> Database:
    """Choose the CouchDB that copies."""
    for database in (target, source):
        if not await _is_embedded(database):
            return database
    raise AfterError(
        f"{source.url} and {target.url} are both served by After; it is CouchDB that copies, so one has to be a "
        "CouchDB. To copy between two files, stop the server and copy the file"
    )


async def _is_embedded(database: Database) -> bool:
    told = await database.engine()
    await database.info()
    vendor = told.get("vendor")
    return isinstance(vendor, dict) and vendor.get("name") == "After"


async def _check_installed(database: Database) -> None:
    try:
        await database.get("_design/after")
    except NotFound:
        raise AfterError(
            f"{database.url} has no design document of After; `after install` puts it there, --no-check does without"
        ) from None


async def _check_idle(database: Database) -> None:
    instant = now(SystemClock())
    alive = sorted({str(one.get("name")) for one in await _processes(database) if is_alive(one, instant)})
    if alive:
        raise AfterError(
            f"{', '.join(alive)} is running on {database.url}: stop it first, so that all is moved as it stands, "
            "or copy with --live and once more when it is stopped"
        )


async def _processes(database: Database) -> list[Document]:
    rows = await database.all(startkey=PREFIX, endkey=f"{PREFIX[:-1]};", include_docs=True)
    return [row.doc for row in rows if row.doc is not None and row.doc.get("type") == "worker"]


async def _copy(
    plan: Plan, copying: Database, source: Database, target: Database, progress: Progress
) -> tuple[int, int]:
    """Let CouchDB copy, and tell meanwhile how far it is; give how many documents were written and refused."""
    asked = plan.request()
    answer = asyncio.create_task(_replicated(copying, asked))
    try:
        while not answer.done():
            with suppress(Unreachable, Refusal):
                progress("copying", *[_all(await one.info()) for one in (target, source)])
            await asyncio.wait([answer], timeout=POLL_SECONDS)
        told = answer.result()
    except Refusal as error:
        raise _explained(error, plan, copying) from None
    except asyncio.CancelledError:
        answer.cancel()
        with suppress(AfterError):
            await copying.replicate({**asked, "cancel": True})
        raise
    if told.get("no_changes"):
        return 0, 0
    # Each session counts on from the one before it.
    latest, *earlier = told["history"]
    before = earlier[0] if earlier else {}
    written, refused = (latest[name] - before.get(name, 0) for name in ("docs_written", "doc_write_failures"))
    return written, refused


async def _replicated(copying: Database, asked: Document) -> Document:
    """Ask for the copy, and again where the connection is cut: CouchDB goes on, and tells us when it is done."""
    for _ in range(TRIES - 1):
        try:
            return await copying.replicate(asked)
        except Unreachable:
            await asyncio.sleep(POLL_SECONDS)
    return await copying.replicate(asked)


def _all(info: Document) -> int:
    return int(info["doc_count"]) + int(info["doc_del_count"])


def _explained(error: Refusal, plan: Plan, copying: Database) -> AfterError:
    """Say in our words why CouchDB did not copy. Its own reasons are terms of Erlang; no password is in them."""
    asked = plan.request()
    for side in ("source", "target"):
        url = asked[side]["url"]
        if url not in error.reason:
            continue
        if "unauthorized" in error.reason or error.error in ("unauthorized", "forbidden"):
            return AfterError(f"{url} does not let the CouchDB at {copying.url.parent} in: {error.reason}")
        return AfterError(
            f"the CouchDB at {copying.url.parent} cannot open {url}, which it has to reach itself ({error.error}). "
            f"After's server listens on its own machine only: the CouchDB has to run there too, or reach it through a "
            f"tunnel. --{side}-as names the URL under which it does"
        )
    if "session_request_unauthorized" in error.reason:
        return AfterError(f"a name or a password is wrong: {error.reason}")
    return AfterError(f"the CouchDB at {copying.url.parent} did not copy: {error.error}: {error.reason}")


async def _counts(database: Database) -> Counts:
    """Count what is copied."""
    designs = await database.all(startkey="_design/", endkey="_design0")
    documents = int((await database.info())["doc_count"]) - len(designs) - len(await _processes(database))
    try:
        rows = await _by_worker(database)
    except NotFound:
        return Counts(documents, None)
    return Counts(documents, {(row.key[0], row.key[1]): row.value for row in rows})


async def _by_worker(database: Database) -> list[ViewRow]:
    """Give the counts of tasks; CouchDB may have to build its index first, which takes as long as it takes."""
    while True:
        try:
            return await database.view("by_worker", group_level=2)
        except Refusal as error:
            if error.error != "timeout":
                raise
            # After a minute CouchDB gives up the answer, not the index: asked again, it goes on waiting for it.
