"""The bounds of a view as SQL, against the order of JSON values as Python has it."""

from __future__ import annotations

import operator
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from after.collation import collation_key
from after.server.keyrange import NUMBER, TEXT, condition, place

OPERATORS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
COLUMNS = ("worker", "due")
KINDS = (TEXT, NUMBER)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3) | st.sampled_from("abB")
numbers = st.integers(-3, 3) | st.integers(-(2**62), 2**62)
rows = st.tuples(texts, numbers, texts)
scalars = st.none() | st.booleans() | texts | numbers | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=2), max_leaves=6
)
# Keys that share a beginning with real ones, which the general strategy hardly ever finds.
near = st.tuples(texts, numbers | scalars).map(list)
keys = near | texts.map(lambda text: [text]) | near.map(lambda key: [*key, None]) | json_values


def selected(table, columns, found):
    text, values = found
    return sorted(table.execute(f"SELECT {', '.join(columns)}, id FROM t WHERE {text}", values))


@pytest.fixture(scope="module")
def table():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (worker TEXT, due INTEGER, id TEXT)")
    yield connection
    connection.close()


@settings(max_examples=400, deadline=None)
@given(
    stored=st.lists(rows, max_size=8),
    key=keys,
    symbol=st.sampled_from(sorted(OPERATORS)),
    identity=st.none() | texts,
    pick=st.integers(0, 7),
)
def test_a_bound_selects_what_collation_says(table, stored, key, symbol, identity, pick):
    if stored and pick % 2:  # a bound that is a row's own key
        key, identity = list(stored[pick % len(stored)][:2]), identity and stored[pick % len(stored)][2]
    table.execute("DELETE FROM t")
    table.executemany("INSERT INTO t VALUES (?, ?, ?)", stored)
    compare = OPERATORS[symbol]

    def wanted(row):
        if identity is None:
            return compare(collation_key(list(row[:2])), collation_key(key))
        return compare((collation_key(list(row[:2])), row[2]), (collation_key(key), identity))

    found = condition(COLUMNS, place(key, KINDS), symbol, identity)
    assert selected(table, COLUMNS, found) == sorted(row for row in stored if wanted(row))


@settings(max_examples=200, deadline=None)
@given(stored=st.lists(texts, max_size=8), key=keys, symbol=st.sampled_from(sorted(OPERATORS)))
def test_a_scalar_bound_does_too(table, stored, key, symbol):
    table.execute("DELETE FROM t")
    table.executemany("INSERT INTO t VALUES (?, 0, '')", [(text,) for text in stored])
    found = condition(("worker",), place(key, (TEXT,), scalar=True), symbol)
    expected = sorted((text, "") for text in stored if OPERATORS[symbol](collation_key(text), collation_key(key)))
    assert selected(table, ("worker",), found) == expected


@given(row=rows, key=keys)
def test_compares_says_the_same_of_one_row(row, key):
    mine, given_key = collation_key(list(row[:2])), collation_key(key)
    assert place(key, KINDS).compares(row[:2]) == (mine > given_key) - (mine < given_key)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (["a"], ((("a",), 1))),
        (["a", {}], ((("a",), -1))),
        (["a", None], ((("a",), 1))),
        (["a", 5], (("a", 5), 0)),
        (["a", 5, None], (("a", 5), -1)),
        ([5, 5], ((), 1)),
        ([], ((), 1)),
        (None, ((), 1)),
        ({}, ((), -1)),
        (["a", 2**63], (("a",), -1)),
        (["a", -(2**63) - 1], (("a",), 1)),
        (["a", True], (("a",), 1)),
    ],
)
def test_places_a_key(key, expected):
    assert place(key, KINDS) == expected
