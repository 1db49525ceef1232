"""Finding the revisions of a document, and telling them as CouchDB does."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from after.errors import NotFound
from after.server.revision import parse, revisions
from after.server.rows import Row, encode
from after.server.store import Store


class Shown(msgspec.Struct, frozen=True):
    """What is told of a document beside its fields."""

    revs: bool = False
    revs_info: bool = False
    conflicts: bool = False
    deleted_conflicts: bool = False
    local_seq: bool = False

    def more(self) -> bool:
        """Tell whether there is anything at all."""
        return any(getattr(self, name) for name in self.__struct_fields__)


class Leaf(NamedTuple):
    """A revision that nothing came after, with the hashes of those before it, newest first, joined by commas."""

    row: Row
    ancestry: str

    def descends_from(self, rev: str) -> bool:
        """Tell whether `rev` is this revision or one of those before it that are still known."""
        generation, wanted = parse(rev)
        newest, own = parse(self.row.rev)
        hashes = [own, *self.ancestry.split(",")]
        return 0 <= newest - generation < len(hashes) and hashes[newest - generation] == wanted


def leaves(store: Store, identity: str) -> list[Leaf]:
    """Give all leaves of a document, the winning one first; none where there never was such a document."""
    row = store.get(identity)
    if row is None:
        return []
    return [Leaf(row, store.ancestry(identity)), *(Leaf(*found) for found in store.leaves(identity))]


def current(store: Store, identity: str) -> Row:
    """Give a document's winning revision; raise `NotFound` where it is deleted or never was."""
    row = store.get(identity)
    if row is None or row.deleted:
        raise NotFound("missing" if row is None else "deleted")
    return row


def at(store: Store, identity: str, rev: str, *, latest: bool = False) -> Leaf | None:
    """Give a revision, or with `latest` the leaf that came of it. Bodies of earlier revisions are not kept."""
    for leaf in leaves(store, identity):
        if leaf.row.rev == rev or (latest and leaf.descends_from(rev)):
            return leaf
    return None


def told(store: Store, row: Row, shown: Shown) -> bytes:
    """Give a document as JSON, with what else is to be shown."""
    return row.json() if not shown.more() else _with(row.json(), _extras(store, row, shown))


def _with(document: bytes, extras: dict[str, object]) -> bytes:
    return document[:-1] + b"," + encode(extras)[1:] if extras else document


def _extras(store: Store, row: Row, shown: Shown) -> dict[str, object]:
    known = leaves(store, row.id)
    extras: dict[str, object] = {}
    ancestry = next((leaf.ancestry for leaf in known if leaf.row.rev == row.rev), "")
    others = [leaf.row for leaf in known if leaf.row.rev != row.rev]
    if shown.revs:
        extras["_revisions"] = revisions(row.rev, ancestry)
    if shown.revs_info:
        extras["_revs_info"] = _availability(row.rev, ancestry)
    if shown.conflicts and (conflicts := [other.rev for other in others if not other.deleted]):
        extras["_conflicts"] = conflicts
    if shown.deleted_conflicts and (conflicts := [other.rev for other in others if other.deleted]):
        extras["_deleted_conflicts"] = conflicts
    if shown.local_seq:
        extras["_local_seq"] = row.seq
    return extras


def _availability(rev: str, ancestry: str) -> list[dict[str, str]]:
    generation = parse(rev)[0]
    earlier = ancestry.split(",") if ancestry else []
    return [
        {"rev": rev, "status": "available"},
        *({"rev": f"{generation - back}-{own}", "status": "missing"} for back, own in enumerate(earlier, 1)),
    ]
