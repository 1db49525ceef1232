"""The order of JSON values in views and selectors, and the tests of a value that follow from it.

The order is CouchDB's (its documentation, "Views Collation"): null < false < true < numbers < strings < arrays <
objects. Arrays compare element by element, objects member by member in the order in which they are written; what ends
first sorts first. So `{"a": 1, "b": 2}` and `{"b": 2, "a": 1}` differ, as they do in CouchDB.

Strings compare by code point. CouchDB compares them with ICU, where for example "a" < "B"; equality is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

CollationKey: TypeAlias = tuple[Any, ...]
"""Comparable with any other key of `collation_key`, and hashable."""


def collation_key(value: object) -> CollationKey:
    """Give the key that sorts a JSON value among all others; equal values have equal keys.

    None is the lowest key, and `{}` is above every value that is not an object, which makes `["a"]` and `["a", {}]`
    the bounds of all arrays that begin with "a". A tuple counts as an array. Raises `TypeError` for what is not JSON.
    """
    if isinstance(value, str):
        return (4, value)
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (2,) if value else (1,)
    if isinstance(value, int | float):
        return (3, value)
    if isinstance(value, list | tuple):
        return (5, tuple([collation_key(element) for element in value]))
    if isinstance(value, dict):
        return (6, tuple([(name, collation_key(member)) for name, member in value.items()]))
    raise TypeError(f"{type(value).__name__} is not a JSON type")


_TYPES = ("null", "boolean", "boolean", "number", "string", "array", "object")


def json_type(value: object) -> str:
    """Name the type of a JSON value as Mango's `$type` does: null, boolean, number, string, array or object."""
    return _TYPES[collation_key(value)[0]]


def equal_to(wanted: object) -> Callable[[Any], bool]:
    """Give the test whether a value is `wanted`; 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(wanted, str):
        return lambda value: bool(value == wanted)
    key = collation_key(wanted)
    return lambda value: collation_key(value) == key


def compares(compare: Callable[[Any, Any], bool], bound: object) -> Callable[[Any], bool]:
    """Give the test whether a value stands to `bound` as `compare` says, one of `operator.lt`, `le`, `gt` and `ge`."""
    kind, key = type(bound), collation_key(bound)
    if kind not in (str, int, float):
        return lambda value: compare(collation_key(value), key)

    def holds(value: Any) -> bool:
        # Most comparisons are of two strings or two numbers, which need no key.
        if type(value) is kind:
            return compare(value, bound)
        return compare(collation_key(value), key)

    return holds


def one_of(wanted: list[Any]) -> Callable[[Any], bool]:
    """Give the test whether a value, or an element of it where it is an array, is among `wanted`: Mango's `$in`."""
    strings = frozenset([value for value in wanted if isinstance(value, str)])
    keys = frozenset([collation_key(value) for value in wanted])

    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return value in strings
        if isinstance(value, list):
            return any(collation_key(element) in keys for element in value)
        return collation_key(value) in keys

    return holds


def has_all(wanted: list[Any]) -> Callable[[Any], bool]:
    """Give the test whether a value is an array with all of `wanted`, or is its only element: Mango's `$all`."""
    keys = frozenset([collation_key(value) for value in wanted])
    whole = [collation_key(value) for value in wanted if len(wanted) == 1 and isinstance(value, list)]

    def holds(value: Any) -> bool:
        if not keys or not isinstance(value, list):
            return False
        return keys.issubset([collation_key(element) for element in value]) or collation_key(value) in whole

    return holds
