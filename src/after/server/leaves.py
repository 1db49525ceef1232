"""The leaves of a document: which revisions stay when others come, and which of them wins. Pure.

A replication brings revisions that were made elsewhere. Where two were made of the same one, both stay, and every
database that has them chooses the same winner, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from after.server.revision import REVS_LIMIT, parse

Place = tuple[int, str]
"""A revision as its number and its hash."""


class Leaf(NamedTuple):
    """A revision that nothing came after, with the hashes of those before it, newest first, joined by commas."""

    rev: str
    deleted: bool
    ancestry: str

    def path(self) -> list[Place]:
        """Give the revision and those before it that are still known, newest first."""
        newest, own = parse(self.rev)
        hashes = [own, *(self.ancestry.split(",") if self.ancestry else [])]
        return [(newest - back, one) for back, one in enumerate(hashes)]

    def descends_from(self, rev: str) -> bool:
        """Tell whether `rev` is this revision or one of those before it that are still known."""
        return self.rev == rev or parse(rev) in self.path()


def rank(leaf: Leaf) -> tuple[bool, int, bytes]:
    """Give the place of a leaf among those of its document; the highest wins, by CouchDB's rule.

    What is not deleted comes first, then the higher number, then the hash, which CouchDB keeps as bytes where it can.
    """
    number, own = parse(leaf.rev)
    return not leaf.deleted, number, bytes.fromhex(own) if len(own) == _MD5 else own.encode()


_MD5 = 32


def merged(leaves: Iterable[Leaf], new: Leaf) -> list[Leaf]:
    """Give the leaves of a document once `new` has come, the winner first.

    A revision that is known already changes nothing but what is known of those before it.
    """
    known = {new.rev: new} | {leaf.rev: leaf for leaf in leaves}
    before: dict[Place, Place] = {}
    for leaf in (*known.values(), new):
        before.update(pairwise(leaf.path()))
    inner = set(before.values())
    kept = [leaf._replace(ancestry=_ancestry(leaf, before)) for leaf in known.values() if parse(leaf.rev) not in inner]
    return sorted(kept, key=rank, reverse=True)


def _ancestry(leaf: Leaf, before: dict[Place, Place]) -> str:
    hashes: list[str] = []
    place = before.get(parse(leaf.rev))
    while place is not None and len(hashes) < REVS_LIMIT - 1:
        hashes.append(place[1])
        place = before.get(place)
    return ",".join(hashes)


def missing(leaves: Iterable[Leaf], revs: Iterable[str]) -> tuple[list[str], list[str]]:
    """Give those of the revisions that are not known, and the leaves that they may come after, as CouchDB does."""
    leaves = list(leaves)
    known = {place for leaf in leaves for place in leaf.path()}
    unknown = [rev for rev in revs if parse(rev) not in known]
    highest = max((parse(rev)[0] for rev in unknown), default=0)
    return unknown, [leaf.rev for leaf in leaves if parse(leaf.rev)[0] < highest]
