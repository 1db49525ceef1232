"""Finding the revisions of a document, and telling them as CouchDB does."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from after.errors import NotFound
from after.server.leaves import Leaf, rank
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


class Revision(NamedTuple):
    """A leaf as it is stored, with the hashes of the revisions before it, newest first, joined by commas."""

    row: Row
    ancestry: str

    @property
    def leaf(self) -> Leaf:
        """Give what decides which of a document's leaves wins."""
        return Leaf(self.row.rev, bool(self.row.deleted), self.ancestry)


def leaves(store: Store, identity: str) -> list[Revision]:
    """Give all leaves of a document, the winning one first; none where there never was such a document."""
    found = [Revision(*one) for one in store.leaves(identity)]
    return found if len(found) < 2 else sorted(found, key=lambda one: rank(one.leaf), reverse=True)


def current(store: Store, identity: str) -> Row:
    """Give a document's winning revision; raise `NotFound` where it is deleted or never was."""
    row = store.get(identity)
    if row is None or row.deleted:
        raise NotFound("missing" if row is None else "deleted")
    return row


def at(known: list[Revision], rev: str, *, latest: bool = False) -> list[Revision]:
    """Give a revision, or with `latest` the leaves that came of it. Bodies of earlier revisions are not kept."""
    return [one for one in known if one.row.rev == rev or (latest and one.leaf.descends_from(rev))]


def told(store: Store, row: Row, shown: Shown, known: list[Revision] | None = None) -> bytes:
    """Give a document as JSON, with what else is to be shown; `known` are its leaves where they are read already."""
    if not shown.more():
        return row.json()
    return _with(row.json(), _extras(row, shown, leaves(store, row.id) if known is None else known))


def _with(document: bytes, extras: dict[str, object]) -> bytes:
    return document[:-1] + b"," + encode(extras)[1:] if extras else document


def _extras(row: Row, shown: Shown, known: list[Revision]) -> dict[str, object]:
    extras: dict[str, object] = {}
    ancestry = next((one.ancestry for one in known if one.row.rev == row.rev), "")
    others = [one.row for one in known if one.row.rev != row.rev]
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
