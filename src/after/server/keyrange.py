"""From a key that a client gives as a bound to a condition on the columns of an index.

A view's key is an array of columns, each of which holds only text or only numbers, or, where it is scalar, its one
column. The client's key may be any JSON at all, and means what it means in CouchDB: `["a"]` stands before all keys
that begin with "a", `["a", {}]` behind them (see `after.collation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from after.collation import collation_key

NUMBER = collation_key(0)[0]
TEXT = collation_key("")[0]
ARRAY = collation_key([])[0]

Kinds = Sequence[int]
"""What each column of a key holds: NUMBER or TEXT."""

Condition = tuple[str, tuple[Any, ...]]
"""SQL and its values."""

ALWAYS: Condition = ("1", ())
NEVER: Condition = ("0", ())
LARGEST = 2**63


class Bound(NamedTuple):
    """Where a given key stands among a view's keys.

    Those that begin with `values` are below it, equal to it, or above it, as `side` is -1, 0 or 1.
    """

    values: tuple[Any, ...]
    side: int

    def compares(self, columns: Sequence[Any]) -> int:
        """Say whether a row's columns stand below (-1), at (0) or above (1) the bound."""
        prefix = tuple(columns[: len(self.values)])
        return (prefix > self.values) - (prefix < self.values) or self.side


def place(key: Any, kinds: Kinds, *, scalar: bool = False) -> Bound:
    """Find where a client's key stands among the keys of a view."""
    kind = kinds[0] if scalar else ARRAY
    rank = collation_key(key)[0]
    if rank != kind:
        return Bound((), 1 if kind > rank else -1)
    return _place([key] if scalar else key, kinds)


def _place(key: list[Any], kinds: Kinds) -> Bound:
    values: list[Any] = []
    for element, kind in zip(key, kinds, strict=False):
        rank = collation_key(element)[0]
        if rank != kind:
            return Bound(tuple(values), 1 if kind > rank else -1)
        if isinstance(element, int) and not -LARGEST <= element < LARGEST:  # more than SQLite's numbers hold
            return Bound(tuple(values), 1 if element < 0 else -1)
        values.append(element)
    return Bound(tuple(values), (len(key) < len(kinds)) - (len(key) > len(kinds)))


def condition(columns: Sequence[str], bound: Bound, operator: str, identity: str | None = None) -> Condition:
    """Give the SQL for "the row stands `operator` the bound", where that is one of `>=`, `>`, `<=` and `<`.

    `identity` is the document id that tells rows with the bound's own key apart.
    """
    values = bound.values
    if bound.side == 0:
        if identity is not None:
            columns, values = [*columns, "id"], (*values, identity)
        return _compared(columns, operator, values)
    included = (bound.side > 0) == (operator[0] == ">")
    if not values:
        return ALWAYS if included else NEVER
    return _compared(columns[: len(values)], operator[0] + ("=" if included else ""), values)


def _compared(columns: Sequence[str], operator: str, values: tuple[Any, ...]) -> Condition:
    return f"({', '.join(columns)}) {operator} ({', '.join('?' * len(values))})", values
