"""(conflicting revisions of a task, who holds them) -> what to write and which to delete: the rule, without I/O.

A cluster, or two sites that replicate, can leave several current revisions of one document, its *leaves*. CouchDB shows
one of them, the *winner*, which it chooses alike everywhere: the most revisions, then the highest hash. Any number of
processes may resolve the same conflict at the same time, none knowing of the others; three things make that safe:

- A leaf is deleted only by who has seen a better one, so the best is never deleted, and never all are.
- A leaf is deleted only when the stored winner tells its history, so no entry is lost, whoever dies in between.
- What is written is made of the leaves alone, without a clock or a name of one's own. Two that write it write the same
  bytes, and the same bytes after the same revision are the same revision: the merging makes no new conflict.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from after.status import ENDED, HELD, REQUESTS, Role, Status, refused
from after.task import Document, holder_of


class Resolution(Struct, frozen=True):
    """What this process does about a conflict.

    `write`, where there is something to be told that the winner does not tell, goes first, under the winner's revision;
    only when that is stored are the revisions `delete` deleted. `drops` says that this process gives up, before, what
    it holds of the task.
    """

    write: Document | None
    delete: list[str]
    drops: bool = False


class Held(Struct, frozen=True):
    """The leaf that this process holds in its memory; `begun` says that it is past taking up another one's content."""

    rev: str
    begun: bool


NOTHING = Resolution(None, [])
CLAIMED = 1
"""The weight of a claim that has not begun."""


def resolve(leaves: Sequence[Document], instance: str, living: Collection[str], held: Held | None) -> Resolution:
    """Say what the process `instance` does about conflicting leaves of a task, given the others that live.

    A leaf that another living process has claimed is that one's to go on with. The exception is a claim that came to
    nothing, which stands in the way of a claim that is certain: it is deleted by who holds the winner.
    """
    winner, *losers = ranked(leaves)
    if not losers or (held is not None and all(leaf["_rev"] != held.rev for leaf in leaves)):
        return NOTHING  # what is held is newer than what was read, or deleted: its next write will tell

    def others(leaf: Document) -> bool:
        holder = holder_of(leaf)
        return holder is not None and holder != instance and holder in living

    if others(winner):
        # Its holder merges. What is claimed by us without our holding it is the claim that came to nothing.
        stray = [leaf for leaf in losers if holder_of(leaf) == instance and (held is None or leaf["_rev"] != held.rev)]
        return Resolution(None, [leaf["_rev"] for leaf in stray if not _news(leaf, winner)])
    if held is not None and held.rev != winner["_rev"] and (held.begun or _weight(winner) <= CLAIMED):
        return NOTHING  # our next write makes ours the winner
    free = [
        leaf for leaf in losers if not others(leaf) or (held is not None and leaf.get("status") == Status.SCHEDULED)
    ]
    content = winner if held is not None and held.begun else _content(winner, free)
    history, told = merged([winner, *losers]), _history(winner)
    gone = [leaf["_rev"] for leaf in free]
    drops = held is not None and held.rev != content["_rev"]
    if content is winner and len(history) == len(told):
        return Resolution(None, gone, drops)
    note = _note([winner, *losers], content)
    entry = {"at": _at(history[-1]), "status": str(_status(content)), "by": "after", "note": note}
    kept = {**content, "_id": winner["_id"], "_rev": winner["_rev"], "type": "task", "history": [*history, entry]}
    return Resolution(kept, gone, drops)


def ranked(leaves: Sequence[Document]) -> list[Document]:
    """Order leaves as CouchDB does, the winner first."""
    return sorted(leaves, key=lambda leaf: precedence(leaf["_rev"]), reverse=True)


def precedence(rev: str) -> tuple[int, str]:
    """Give what revisions are ordered by: how many there were, then the hash."""
    number, _, digest = rev.partition("-")
    return int(number), digest


def merged(leaves: Sequence[Document]) -> list[Document]:
    """Give all entries of all histories, each as often as the history that has it most often, by `at`."""
    union: list[Document] = []
    for leaf in leaves:
        union += _missing(_history(leaf), union)
    return sorted(union, key=_at)


def _content(winner: Document, free: Sequence[Document]) -> Document:
    """Choose what the task goes on as: the winner, unless another leaf knows more than it does of what has happened.

    What ran must not run again without need, so an end comes before a run, and a run before a claim; what a client asks
    for comes before a claim that has not begun. A leaf all of whose history the winner knows is only its past.
    """
    best = winner
    for leaf in free:
        known = not _news(leaf, winner)
        if known or refused(_status(winner), _status(leaf), Role.WORKER) is not None:
            continue
        if _weight(leaf) > _weight(best):
            best = leaf
    return best


def _weight(leaf: Document) -> int:
    status = _status(leaf)
    if status in ENDED:
        return 4
    if status == Status.RUNNING:
        return 3
    if status in REQUESTS and status != Status.WAITING:
        return 2
    return CLAIMED if status in HELD else 0


def _note(leaves: Sequence[Document], content: Document) -> str:
    revs = ", ".join(leaf["_rev"] for leaf in leaves)
    runs = _runs(leaves)
    doubled = f"; it was run {runs} times at once" if runs > 1 else ""
    return f"conflicting revisions were merged: {revs}; {content['_rev']} stands{doubled}"


def _runs(leaves: Sequence[Document]) -> int:
    """Count the leaves that tell of a run that no other tells of."""
    count = 0
    for leaf in leaves:
        rest = [entry for other in leaves if other is not leaf for entry in _history(other)]
        count += any(_is_run(entry) for entry in _missing(_history(leaf), rest))
    return count


def _is_run(entry: Document) -> bool:
    return "duration_ms" in entry or entry.get("status") == Status.RUNNING


def _news(leaf: Document, winner: Document) -> list[Document]:
    return _missing(_history(leaf), _history(winner))


def _missing(entries: Sequence[Document], known: Sequence[Document]) -> list[Document]:
    """Give the entries that are not among those known; one that is there twice has to be known twice."""
    rest, missing = list(known), []
    for entry in entries:
        if entry in rest:
            rest.remove(entry)
        else:
            missing.append(entry)
    return missing


def _status(leaf: Document) -> str:
    status = leaf.get("status")
    return status if isinstance(status, str) else Status.WAITING


def _at(entry: Document) -> str:
    return str(entry.get("at", ""))


def _history(leaf: Document) -> list[Document]:
    history = leaf.get("history")
    return [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
