"""Mango selectors: which documents a `_find`, a filtered `_changes` or a list is about.

The language and its meaning are CouchDB's (its documentation, "Selector Syntax", and its `mango_selector.erl`):

- A field that is missing matches `{"$exists": false}` and nothing else, so `$ne` and `$nin` want the field too.
- `$not` and `$nor` negate the conditions of the fields below them and change nothing in that rule:
  `{"$not": {"a": 1}}` is `{"a": {"$ne": 1}}`.
- A path that leads into something other than an object or an array, or past an array's end, matches nothing at all.
- `$in` on an array asks whether one of its elements is listed.
- An empty array makes `$and`, `$or`, `$nor` and `$nin` true, `$in` and `$all` false.
- `{}` matches all documents at the top, and the empty object below a field.

It differs from CouchDB in this: strings are ordered by code point (see `after.collation`); `$regex` is Python's
`re`, searched in text instead of bytes; `$all` takes 1 and 1.0 for the same number, as the other operators do;
an operator outside of a field, which compares the whole document, is refused, and so is a `$mod` by 0.
"""

from __future__ import annotations

import enum
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

from after.collation import compares, equal_to, has_all, json_type, one_of
from after.errors import BadRequest

MAX_DEPTH: Final = 64

Predicate: TypeAlias = Callable[[Any], bool]
Path: TypeAlias = tuple[str, ...]


def compile_selector(selector: object) -> Callable[[Mapping[str, Any]], bool]:
    """Turn a selector into a function that says whether a document matches.

    The function keeps nothing of `selector`, so that one may change later. Raises `BadRequest` with the operator or
    the field that is wrong, also for a selector of more than 64 levels.
    """
    return _predicate(_parse_selector(selector))


def required_equalities(selector: object) -> dict[str, tuple[Any, ...]]:
    """Give the top-level fields that a document must hold one of some values in, in order to match: an index hint.

    `{"worker": "manobi", "status": {"$in": ["waiting", "cancel"]}}` gives
    `{"worker": ("manobi",), "status": ("waiting", "cancel")}`. No values at all mean that nothing can match.
    A field that is not named may hold anything, and only fields whose values are all strings or numbers are named.

    The hint is about fields that are not arrays: `$in` also finds an array by its elements, so an index must offer
    documents with an array in that field whatever the hint says. Raises `BadRequest` as `compile_selector` does.
    """
    return _equalities(_parse_selector(selector))


# A selector is parsed into a tree in which negations and field names have moved down to the single tests.


@dataclass(frozen=True, slots=True)
class _FieldTest:
    """One operator on the value at `path`; `negated` asks for the opposite, still of a value that is there."""

    path: Path
    operator: str
    argument: Any
    test: Predicate
    negated: bool


@dataclass(frozen=True, slots=True)
class _Combination:
    """All of the parts, or any of them; without parts it is true in either case."""

    combine_all: bool
    parts: tuple[_Node, ...]


_Node: TypeAlias = _FieldTest | _Combination


class _Place(NamedTuple):
    """Where in the selector parsing is: below which field, negated or not, in an element or in the document."""

    path: Path = ()
    negated: bool = False
    in_element: bool = False


def _parse_selector(selector: object) -> _Node:
    if not isinstance(selector, dict):
        raise BadRequest("selector: must be an object")
    _check_depth(selector)
    return _parse(selector, _Place()) if selector else _Combination(True, ())


def _check_depth(selector: dict[str, Any]) -> None:
    level: list[Any] = [selector]
    for _ in range(MAX_DEPTH):
        children = chain.from_iterable(value.values() if isinstance(value, dict) else value for value in level)
        level = [child for child in children if isinstance(child, dict | list)]
    if level:
        raise BadRequest(f"selector: more than {MAX_DEPTH} levels deep")


def _parse(condition: object, place: _Place) -> _Node:
    if not isinstance(condition, dict) or not condition:
        if not place.path and not place.in_element:
            raise BadRequest("selector: a condition without a field, where a selector belongs")
        return _parse_operator("$eq", condition, place)
    parts = tuple([_parse_member(name, argument, place) for name, argument in condition.items()])
    return parts[0] if len(parts) == 1 else _Combination(not place.negated, parts)


def _parse_member(name: str, argument: object, place: _Place) -> _Node:
    if not name.startswith("$"):
        return _parse(argument, place._replace(path=place.path + _split_path(name)))
    opposite = place._replace(negated=not place.negated)
    if name == "$not":
        return _parse(_expect(name, argument, dict, "an object"), opposite)
    if name in ("$and", "$or", "$nor"):
        branches = _expect(name, argument, list, "an array of selectors")
        below = opposite if name == "$nor" else place
        # By De Morgan, "all" and "any" change places under a negation.
        combine_all = (name == "$or") == place.negated
        return _Combination(combine_all, tuple([_parse(branch, below) for branch in branches]))
    return _parse_operator(name, argument, place)


def _parse_operator(name: str, argument: object, place: _Place) -> _FieldTest:
    if name in _NESTED:
        condition = _expect(name, argument, dict, "an object")
        test = _NESTED[name](_predicate(_parse(condition, _Place(in_element=True))))
    elif name in _TESTS:
        kind, description, make_test = _TESTS[name]
        test = make_test(_expect(name, argument, kind, description))
    else:
        raise BadRequest(f"selector: {name} is not an operator, or not supported")
    if not place.path and not place.in_element:
        raise BadRequest(f"selector: {name} needs a field")
    negated = place.negated is not (name in _OPPOSITES)
    return _FieldTest(place.path, _OPPOSITES.get(name, name), argument, test, negated)


def _split_path(field: str) -> Path:
    names = [part.replace("\\", "") for part in re.split(r"(?<!\\)\.", field)]
    if not all(names):
        raise BadRequest(f"selector: {field!r} is not a field, one of its names is empty")
    return tuple(names)


def _expect(name: str, argument: object, kind: type, description: str) -> Any:
    # Exactly this type, because True is an int to Python and not to JSON.
    if kind is not object and type(argument) is not kind:
        raise BadRequest(f"selector: {name} takes {description}")
    return argument


class _Absent(enum.Enum):
    FIELD = "the last object on the way has no such member"
    WAY = "the path leads into something without members"


def _predicate(node: _Node) -> Predicate:
    if isinstance(node, _FieldTest):
        return _field_predicate(node)
    parts = tuple([_predicate(part) for part in node.parts])

    def matches_all(value: Any) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would double the time of a small selector
            if not part(value):
                return False
        return True

    def matches_any(value: Any) -> bool:
        for part in parts:  # noqa: SIM110 - see above
            if part(value):
                return True
        return False

    return matches_all if node.combine_all or not parts else matches_any


def _field_predicate(node: _FieldTest) -> Predicate:
    find, test = _finder(node.path), node.test
    if node.operator == "$exists":
        if node.argument is not node.negated:
            return lambda value: not isinstance(find(value), _Absent)
        return lambda value: find(value) is _Absent.FIELD
    (missing, blocked), wanted = _Absent, not node.negated

    def holds(value: Any) -> bool:
        found = find(value)
        return found is not missing and found is not blocked and test(found) is wanted

    texts = _texts(node)
    if texts is None:
        return holds
    name = node.path[0]

    def holds_text(value: Any) -> bool:
        # A changes feed asks this of every change for each of its readers; it takes a third of the general way.
        found = value.get(name) if type(value) is dict else None
        return found in texts if type(found) is str else holds(value)

    return holds_text


def _texts(node: _FieldTest) -> frozenset[str] | None:
    """Give the texts that a field of the document itself may be, where that is all that is asked."""
    texts = {"$eq": [node.argument], "$in": node.argument}.get(node.operator)
    if texts is None or node.negated or len(node.path) != 1 or _array_index(node.path[0]) is not None:
        return None
    return frozenset(texts) if all(type(text) is str for text in texts) else None


def _finder(path: Path) -> Callable[[Any], Any]:
    missing, blocked = _Absent
    if len(path) == 1 and _array_index(path[0]) is None:
        name = path[0]
        # The type is asked first since `isinstance` with an abstract class takes longer than all the rest.
        return lambda value: value.get(name, missing) if type(value) is dict or isinstance(value, Mapping) else blocked
    steps = tuple([(name, _array_index(name)) for name in path])

    def find(value: Any) -> Any:
        for name, index in steps:
            if isinstance(value, Mapping):
                value = value.get(name, missing)
                if value is missing:
                    return missing
            elif isinstance(value, list) and index is not None and index < len(value):
                value = value[index]
            else:
                return blocked
        return value

    return find


def _array_index(name: str) -> int | None:
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else None


def _equalities(node: _Node) -> dict[str, tuple[Any, ...]]:
    if isinstance(node, _FieldTest):
        if node.negated or node.operator not in ("$eq", "$in") or len(node.path) != 1:
            return {}
        values = node.argument if node.operator == "$in" else [node.argument]
        indexable = all(type(value) in (str, int, float) for value in values)
        return {node.path[0]: tuple(dict.fromkeys(values))} if indexable else {}
    hints = [_equalities(part) for part in node.parts]
    if node.combine_all:
        return _merge_hints(hints)
    shared = [field for field in hints[0] if all(field in hint for hint in hints)] if hints else []
    return {field: tuple(dict.fromkeys(value for hint in hints for value in hint[field])) for field in shared}


def _merge_hints(hints: Iterable[dict[str, tuple[Any, ...]]]) -> dict[str, tuple[Any, ...]]:
    merged: dict[str, tuple[Any, ...]] = {}
    for hint in hints:
        for field, values in hint.items():
            admitted = frozenset(values)
            merged[field] = tuple([value for value in merged.get(field, values) if value in admitted])
    return merged


# The operators: the argument's type and description, and what makes from it the test of a value that is there.


def _of_size(size: int) -> Predicate:
    if size < 0:
        raise BadRequest("selector: $size takes a whole number from 0")
    return lambda value: isinstance(value, list) and len(value) == size


def _modulo(argument: list[Any]) -> Predicate:
    if len(argument) != 2 or any(type(number) is not int for number in argument) or argument[0] == 0:
        raise BadRequest("selector: $mod takes an array of two integers, of which the first is not 0")
    divisor, remainder = abs(argument[0]), argument[1]
    # As in Erlang and C the remainder has the dividend's sign, in Python it has the divisor's.
    return lambda value: type(value) is int and (value % divisor if value >= 0 else -(-value % divisor)) == remainder


def _matching(pattern: str) -> Predicate:
    try:
        search = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as problem:
        raise BadRequest(f"selector: $regex {pattern!r}: {problem}") from problem
    return lambda value: isinstance(value, str) and search(value) is not None


_OPPOSITES: Final[Mapping[str, str]] = {"$ne": "$eq", "$nin": "$in"}

_TESTS: Final[Mapping[str, tuple[type, str, Callable[[Any], Predicate]]]] = {
    "$eq": (object, "any value", equal_to),
    "$ne": (object, "any value", equal_to),
    "$lt": (object, "any value", partial(compares, operator.lt)),
    "$lte": (object, "any value", partial(compares, operator.le)),
    "$gt": (object, "any value", partial(compares, operator.gt)),
    "$gte": (object, "any value", partial(compares, operator.ge)),
    "$in": (list, "an array", one_of),
    "$nin": (list, "an array", one_of),
    "$all": (list, "an array", has_all),
    "$exists": (bool, "true or false", lambda argument: lambda value: argument),
    "$type": (str, "the name of a type", lambda name: lambda value: json_type(value) == name),
    "$size": (int, "a whole number from 0", _of_size),
    "$mod": (list, "an array of two integers", _modulo),
    "$regex": (str, "a regular expression", _matching),
    "$beginsWith": (str, "a string", lambda prefix: lambda value: isinstance(value, str) and value.startswith(prefix)),
}

# What is done with the predicate that the argument of the operator, a selector, makes.
_NESTED: Final[Mapping[str, Callable[[Predicate], Predicate]]] = {
    "$elemMatch": lambda matches: lambda value: isinstance(value, list) and any(map(matches, value)),
    "$allMatch": lambda matches: lambda value: isinstance(value, list) and value != [] and all(map(matches, value)),
    "$keyMapMatch": lambda matches: lambda value: isinstance(value, dict) and any(map(matches, value)),
}
