"""Revisions: `N-HASH`, where N counts the edits of a document and HASH tells two edits of one revision apart."""

from __future__ import annotations

import re
from hashlib import md5

from after.errors import BadRequest

REVS_LIMIT = 100
"""How many hashes of a revision's ancestry are kept, so that a replication finds where two copies parted."""

REV = re.compile(r"^([1-9]\d{0,15})-([0-9a-f]{1,64})$")


def following(rev: str | None, deleted: bool, body: bytes) -> str:
    """Give the revision of an edit that puts `body` in the place of `rev`.

    As in CouchDB it depends on nothing else, so that the same edit made twice is one revision.
    """
    generation = 1 if rev is None else int(rev[: rev.index("-")]) + 1
    edit = b"%d %s %s" % (deleted, rev.encode() if rev else b"", body)
    return f"{generation}-{md5(edit, usedforsecurity=False).hexdigest()}"


def parse(rev: str) -> tuple[int, str]:
    """Split a revision into its number and its hash; raise `BadRequest` where it is not one."""
    match = REV.match(rev)
    if match is None:
        raise BadRequest(f"_rev: {rev!r} is not a revision")
    return int(match[1]), match[2]


def extended(ancestry: str, rev: str) -> str:
    """Give the ancestry of a child of `rev`: hashes joined by commas, the newest first, bounded."""
    own = rev[rev.index("-") + 1 :]
    if not ancestry:
        return own
    kept = ancestry.split(",", REVS_LIMIT - 2)
    return ",".join([own, *kept[: REVS_LIMIT - 2]]) if len(kept) > REVS_LIMIT - 2 else f"{own},{ancestry}"


def revisions(rev: str, ancestry: str) -> dict[str, object]:
    """Give CouchDB's `_revisions` of a leaf."""
    start, own = parse(rev)
    return {"start": start, "ids": [own, *(ancestry.split(",") if ancestry else [])]}
