"""Circles of tasks that wait for each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from after.cycles import MAX_STEPS, cycle, told


class Graph:
    """What tasks wait for, and how it was asked for."""

    def __init__(self, awaited: Mapping[str, list[str]]) -> None:
        self._awaited = awaited
        self.lookups: list[list[str]] = []

    def lookup(self, ids: Iterable[str]) -> dict[str, list[str]]:
        self.lookups.append(list(ids))
        return {one: self._awaited[one] for one in self.lookups[-1] if one in self._awaited}


@pytest.mark.parametrize(
    ("after", "awaited", "expected"),
    [
        ("a", {}, "a"),
        ("ba", {}, "a"),
        ("b", {"b": "a"}, "ab"),
        ("b", {"b": "c", "c": "a"}, "abc"),
        ("bx", {"b": "cd", "x": "y", "d": "a", "c": "d", "y": "a"}, "abd"),
        ("b", {"b": "cd", "c": "e", "d": "a", "e": "a"}, "abd"),
        ("bc", {"b": "d", "c": "d", "d": "e"}, None),
        ("b", {"b": "c", "c": "b"}, None),
        ("", {"b": "a"}, None),
        ("b", {"c": "a"}, None),
    ],
)
def test_gives_a_shortest_circle(after: str, awaited: dict[str, str], expected: str | None) -> None:
    graph = Graph({one: list(others) for one, others in awaited.items()})
    assert cycle("a", list(after), graph.lookup) == (None if expected is None else list(expected))


def test_asks_once_for_each_level_and_each_task() -> None:
    graph = Graph({"b": ["d", "e"], "c": ["d", "f"], "d": ["g", "b"], "e": ["c"]})
    assert cycle("a", ["b", "c", "b"], graph.lookup) is None
    assert graph.lookups == [["b", "c"], ["d", "e", "f"], ["g"]]


def test_gives_up_where_it_becomes_too_much() -> None:
    chain = {str(number): [str(number + 1)] for number in range(MAX_STEPS)}
    graph = Graph({**chain, str(MAX_STEPS): ["a"]})
    assert cycle("a", ["0"], graph.lookup) is None
    assert cycle("a", ["2"], graph.lookup) == ["a", *map(str, range(2, MAX_STEPS + 1))]
    wide = Graph({str(number): [f"{number} {other}" for other in range(100)] for number in range(200)})
    assert cycle("a", map(str, range(200)), wide.lookup) is None
    assert len(wide.lookups) == 1


ids = st.sampled_from("abcdefg")


@given(st.dictionaries(ids, st.lists(ids, max_size=3)), ids)
def test_finds_one_exactly_where_a_task_leads_to_itself(awaited: dict[str, list[str]], first: str) -> None:
    graph = Graph({one: others for one, others in awaited.items() if one != first})
    after = awaited.get(first, [])
    reached: set[str] = set()
    following = list(after)
    while following:
        one = following.pop()
        if one not in reached:
            reached.add(one)
            following += awaited.get(one, []) if one != first else []
    found = cycle(first, after, graph.lookup)
    assert (found is not None) == (first in reached)
    for one, other in zip(found or (), [*(found or ())[1:], first], strict=False):
        assert other in awaited[one]


def test_says_what_is_wrong() -> None:
    assert told(["a"]) == "a task cannot wait for itself"
    assert told(["a", "b"]) == "'a' waits for 'b', which waits for 'a'"
    assert told(["a", "b", "c"]) == "'a' waits for 'b', which waits for 'c', which waits for 'a'"
    assert len(told(["x" * 500] * 2)) < 300
