"""Whether tasks that are posted would wait for each other in a circle, with those that are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from after import cycles
from after.errors import InvalidTask
from after.server.rows import Edit, encode
from after.server.store import Store
from after.status import Status
from after.task import Document

_AWAITED = "SELECT 1 FROM dependency WHERE dependency = ? LIMIT 1"
_AFTER = """
SELECT task, dependency FROM json_each(?) AS wanted CROSS JOIN dependency ON dependency.task = wanted.value
"""
_WAIT = frozenset({Status.WAITING, Status.SCHEDULE, Status.RESCHEDULE})


def may_close(asked: Document, made: Document) -> bool:
    """Tell whether the task `made` may begin to wait by what is `asked` of it."""
    return (
        bool(made.get("after"))
        and not made.get("ready")
        and made["status"] in _WAIT
        and ("after" in asked or asked.get("status") == Status.SCHEDULE)
    )


class Waiting:
    """What blocked tasks wait for: those in the store, and those of the same request, which are not there yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._coming: dict[str, Sequence[str]] = {}
        self._awaited: set[str] = set()

    def add(self, edit: Edit) -> None:
        """Add a task that is about to be written; raise `InvalidTask` where it would close a circle."""
        after = edit.document["after"]
        if self._is_awaited(edit.id):
            circle = cycles.cycle(edit.id, after, self._lookup)
            if circle is not None:
                raise InvalidTask("after", cycles.told(circle))
        if edit.base is not None or self._is_new(edit.id):
            self._coming.setdefault(edit.id, after)
            self._awaited.update(after)

    def _is_new(self, identity: str) -> bool:
        """Tell whether a task that is made without looking will be made: one that exists stays as it is."""
        row = self._store.get(identity)
        return row is None or row.deleted

    def _is_awaited(self, identity: str) -> bool:
        """Tell whether any task waits for this one; most that are new nobody waits for, and they are in no circle."""
        return identity in self._awaited or bool(self._store.select(_AWAITED, (identity,)))

    def _lookup(self, ids: Iterable[str]) -> dict[str, Sequence[str]]:
        wanted = list(ids)
        found: dict[str, list[str]] = {}
        for task, dependency in self._store.select(_AFTER, (encode(wanted).decode(),)):
            found.setdefault(task, []).append(dependency)
        return found | {one: self._coming[one] for one in wanted if one in self._coming}
