"""Which revisions stay and which wins, in whatever order they come."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from after.server.leaves import Leaf, merged, missing, rank


def leaf(rev: str, ancestry: str = "", deleted: bool = False) -> Leaf:
    return Leaf(rev, deleted, ancestry)


@st.composite
def histories(draw: st.DrawFn) -> list[Leaf]:
    """Give revisions of one document as replications bring them: each knows some of those before it, not always all."""
    revs: list[tuple[str, list[str]]] = []
    for number in range(draw(st.integers(1, 9))):
        earlier = draw(st.none() | st.sampled_from(revs)) if revs else None
        before = [] if earlier is None else [earlier[0].split("-")[1], *earlier[1]]
        revs.append((f"{len(before) + 1}-{draw(st.sampled_from('0159af'))}{number:x}", before))
    return [
        leaf(rev, ",".join(before[: draw(st.integers(0, len(before)))]), draw(st.booleans())) for rev, before in revs
    ]


def taken(history: list[Leaf]) -> list[Leaf]:
    found: list[Leaf] = []
    for one in history:
        found = merged(found, one)
    return found


@given(st.data(), histories())
def test_the_order_of_arrival_does_not_matter(data: st.DataObject, history: list[Leaf]) -> None:
    assert taken(data.draw(st.permutations(history))) == taken(history)


@given(histories())
def test_what_stays_is_what_nothing_came_after_and_the_highest_wins(history: list[Leaf]) -> None:
    inner = {place for one in history for place in one.path()[1:]}
    found = taken(history)
    assert {one.rev for one in found} == {one.rev for one in history if one.path()[0] not in inner}
    assert all(rank(first) > rank(second) for first, second in pairwise(found))


@given(histories())
def test_what_is_known_changes_nothing(history: list[Leaf]) -> None:
    found = taken(history)
    assert all(merged(found, one) == found for one in history)
    assert missing(found, [one.rev for one in history]) == ([], [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (leaf("2-a"), leaf("1-b")),
        (leaf("10-a"), leaf("9-b")),
        (leaf("1-b"), leaf("1-a")),
        (leaf("1-a"), leaf("2-a", deleted=True)),
        (leaf("2-a", deleted=True), leaf("1-a", deleted=True)),
    ],
)
def test_the_winner_is_couchdbs(first: Leaf, second: Leaf) -> None:
    assert merged([second], first) == merged([first], second) == [first, second]


def test_tells_what_is_missing_and_what_it_may_come_after() -> None:
    known = [leaf("3-c", "b,a"), leaf("2-d", "a")]
    revs: list[Any] = ["3-c", "2-b", "1-a", "4-e", "2-f"]
    assert missing(known, revs) == (["4-e", "2-f"], ["3-c", "2-d"])
    assert missing(known, ["2-f"]) == (["2-f"], [])
    assert missing([], ["1-a"]) == (["1-a"], [])
