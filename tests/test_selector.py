from __future__ import annotations

import copy
import operator
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from after.collation import collation_key, json_type
from after.errors import BadRequest
from after.selector import MAX_DEPTH, compile_selector, required_equalities

TASK: dict[str, Any] = {
    "_id": "a",
    "worker": "manobi",
    "status": "waiting",
    "date": 1000,
    "ratio": 0.5,
    "paused": True,
    "note": None,
    "tags": ["red", "blue", 3],
    "pairs": [[1, 2]],
    "empty": [],
    "nothing": {},
    "claim": {"instance": "i1", "at": 7, "where": {"host": "h"}},
    "runs": [{"n": 1, "ok": True}, {"n": 2, "ok": False}],
    "a.b": "dotted",
    "$price": 4,
}


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"worker": "manobi"},
        {"worker": "manobi", "status": "waiting"},
        {"worker": {"$eq": "manobi"}},
        {"date": 1000.0},
        {"note": None},
        {"tags": ["red", "blue", 3]},
        {"nothing": {}},
        {"worker": {"$ne": "x"}},
        {"paused": {"$ne": 1}},
        {"date": {"$gt": 999, "$lte": 1000}},
        {"date": {"$lt": "0"}},
        {"date": {"$gt": True}},
        {"date": {"$gte": 999.5}},
        {"worker": {"$gt": 10**30}},
        {"worker": {"$lt": []}},
        {"tags": {"$lt": {}}},
        {"note": {"$lt": False}},
        {"nothing": {"$gte": {}}},
        {"worker": {"$exists": True}},
        {"note": {"$exists": True}},
        {"missing": {"$exists": False}},
        {"claim.missing": {"$exists": False}},
        {"note": {"$type": "null"}},
        {"paused": {"$type": "boolean"}},
        {"ratio": {"$type": "number"}},
        {"worker": {"$type": "string"}},
        {"tags": {"$type": "array"}},
        {"claim": {"$type": "object"}},
        {"status": {"$in": ["cancel", "waiting"]}},
        {"date": {"$in": ["x", 1000]}},
        {"tags": {"$in": ["green", "blue"]}},
        {"tags": {"$in": [3.0]}},
        {"pairs": {"$in": [[1, 2]]}},
        {"worker": {"$nin": ["x", "y"]}},
        {"worker": {"$nin": []}},
        {"tags": {"$nin": ["green"]}},
        {"tags": {"$size": 3}},
        {"date": {"$mod": [7, 6]}},
        {"worker": {"$regex": "^man"}},
        {"worker": {"$regex": "nob"}},
        {"worker": {"$beginsWith": "man"}},
        {"$and": [{"worker": "manobi"}, {"date": 1000}]},
        {"$and": []},
        {"$or": []},
        {"$nor": []},
        {"$not": {"$or": []}},
        {"$or": [{"worker": "x"}, {"date": 1000}]},
        {"$nor": [{"worker": "x"}, {"date": 1}]},
        {"$not": {"worker": "x"}},
        {"$not": {"worker": "manobi", "date": 1}},
        {"$not": {"missing": {"$exists": True}}},
        {"$not": {"$nor": [{"worker": "manobi"}, {"worker": "x"}]}},
        {"$not": {"$not": {"worker": "manobi"}}},
        {"worker": {"$not": {"$regex": "^x"}}},
        {"worker": {"$or": [{"$eq": "x"}, {"$eq": "manobi"}]}},
        {"date": {"$and": [{"$gt": 1}, {"$lt": 2000}]}},
        {"tags": {"$all": ["blue", "red"]}},
        {"pairs": {"$all": [[1, 2]]}},
        {"tags": {"$all": [["red", "blue", 3]]}},
        {"tags": {"$elemMatch": {"$gt": 2, "$lt": 4}}},
        {"tags": {"$elemMatch": {"$or": [{"$eq": "x"}, {"$eq": "blue"}]}}},
        {"runs": {"$elemMatch": {"n": 2, "ok": False}}},
        {"runs": {"$allMatch": {"n": {"$lt": 3}}}},
        {"empty": {"$not": {"$allMatch": {"$eq": 1}}}},
        {"claim": {"$keyMapMatch": {"$eq": "instance"}}},
        {"claim": {"$keyMapMatch": {"$regex": "^wh"}}},
        {"claim": {"instance": "i1"}},
        {"claim": {"instance": "i1", "where": {"host": {"$gt": "a"}}}},
        {"claim.where.host": "h"},
        {"claim": {"where.host": "h"}},
        {"tags.1": "blue"},
        {"runs.0.n": 1},
        {"a\\.b": "dotted"},
        {"\\$price": 4},
        {"tags": {"$eq": ["red", "blue", 3]}},
    ],
)
def test_matches(selector: object) -> None:
    assert compile_selector(selector)(TASK) is True


@pytest.mark.parametrize(
    "selector",
    [
        {"worker": "x"},
        {"worker": "manobi", "status": "x"},
        {"missing": None},
        {"missing": {"$ne": 1}},
        {"missing": {"$nin": [1]}},
        {"missing": {"$nin": []}},
        {"missing": {"$lt": {}}},
        {"missing": {"$exists": True}},
        {"missing": {"$not": {"$regex": "x"}}},
        {"missing.deeper": {"$ne": 1}},
        {"$not": {"missing": 1}},
        {"$not": {"missing": {"$exists": False}}},
        {"$nor": [{"missing": 1}]},
        {"$nor": [{"worker": "manobi"}]},
        {"note": {"$exists": False}},
        {"worker.name": {"$exists": False}},
        {"tags.3": {"$exists": False}},
        {"tags.x": {"$exists": False}},
        {"tags.²": {"$exists": False}},
        {"paused": 1},
        {"date": {"$eq": True}},
        {"tags": "red"},
        {"claim": {"$eq": {"instance": "i1"}}},
        {"claim": {}},
        {"pairs": {"$in": [1]}},
        {"empty": {"$in": [[]]}},
        {"worker": {"$in": []}},
        {"paused": {"$in": [1]}},
        {"tags": {"$nin": ["x", "blue"]}},
        {"date": {"$lt": False}},
        {"date": {"$gt": "0"}},
        {"worker": {"$gte": []}},
        {"tags": {"$size": 2}},
        {"worker": {"$size": 6}},
        {"date": {"$mod": [7, 5]}},
        {"ratio": {"$mod": [1, 0]}},
        {"paused": {"$mod": [2, 1]}},
        {"date": {"$regex": "1"}},
        {"worker": {"$regex": "^nob"}},
        {"date": {"$beginsWith": "1"}},
        {"worker": {"$type": "unheard-of"}},
        {"tags": {"$all": []}},
        {"tags": {"$all": ["red", "green"]}},
        {"worker": {"$all": ["manobi"]}},
        {"tags": {"$elemMatch": {"$eq": "green"}}},
        {"runs": {"$elemMatch": {"n": 1, "ok": False}}},
        {"runs": {"$elemMatch": {"$not": {"missing": 1}}}},
        {"claim": {"$elemMatch": {"$eq": "i1"}}},
        {"runs": {"$allMatch": {"n": 1}}},
        {"empty": {"$allMatch": {"$eq": 1}}},
        {"empty": {"$elemMatch": {"$eq": 1}}},
        {"claim": {"$keyMapMatch": {"$eq": "i1"}}},
        {"nothing": {"$keyMapMatch": {"$exists": True}}},
        {"tags": {"$keyMapMatch": {"$eq": "red"}}},
        {"a.b": "dotted"},
        {"_deleted": True},
    ],
)
def test_does_not_match(selector: object) -> None:
    assert compile_selector(selector)(TASK) is False


def test_a_tombstone_is_matched_by_its_field() -> None:
    assert compile_selector({"_deleted": True})({"_id": "a", "_deleted": True})


def test_order_of_members_counts_in_equality() -> None:
    selects = compile_selector({"claim": {"$eq": {"a": 1, "b": 2}}})
    assert selects({"claim": {"a": 1, "b": 2}})
    assert not selects({"claim": {"b": 2, "a": 1}})


@pytest.mark.parametrize(("value", "remainder"), [(7, 1), (-7, -1), (6, 0), (-6, 0)])
def test_remainder_has_the_sign_of_the_dividend(value: int, remainder: int) -> None:
    for divisor in (3, -3):
        assert compile_selector({"n": {"$mod": [divisor, remainder]}})({"n": value})


@pytest.mark.parametrize(
    ("selector", "named"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ("worker", "must be an object"),
        ({"a": {"$in": "x"}}, "$in takes an array"),
        ({"a": {"$nin": {}}}, "$nin takes an array"),
        ({"a": {"$all": 1}}, "$all takes"),
        ({"a": {"$exists": 1}}, "$exists takes"),
        ({"a": {"$type": None}}, "$type takes"),
        ({"a": {"$size": -1}}, "$size takes"),
        ({"a": {"$size": 1.0}}, "$size takes"),
        ({"a": {"$size": True}}, "$size takes"),
        ({"a": {"$mod": [0, 1]}}, "$mod takes"),
        ({"a": {"$mod": [2]}}, "$mod takes"),
        ({"a": {"$mod": [2.5, 1]}}, "$mod takes"),
        ({"a": {"$regex": "("}}, "$regex '('"),
        ({"a": {"$regex": 1}}, "$regex takes"),
        ({"a": {"$beginsWith": 1}}, "$beginsWith takes"),
        ({"a": {"$elemMatch": 1}}, "$elemMatch takes"),
        ({"a": {"$allMatch": []}}, "$allMatch takes"),
        ({"a": {"$keyMapMatch": "x"}}, "$keyMapMatch takes"),
        ({"$and": {}}, "$and takes"),
        ({"$or": {"a": 1}}, "$or takes"),
        ({"$nor": None}, "$nor takes"),
        ({"$not": []}, "$not takes"),
        ({"a": {"$unheard": 1}}, "$unheard is not"),
        ({"$where": "x"}, "$where is not"),
        ({"a": {"$elemMatch": {"$unheard": 1}}}, "$unheard is not"),
        ({"$gt": 1}, "$gt needs a field"),
        ({"$and": [{"$gt": 1}]}, "$gt needs a field"),
        ({"$elemMatch": {"a": 1}}, "$elemMatch needs a field"),
        ({"$and": [{}]}, "without a field"),
        ({"$or": ["x"]}, "without a field"),
        ({"$not": {}}, "without a field"),
        ({"": 1}, "''"),
        ({"a..b": 1}, "'a..b'"),
        ({".a": 1}, "'.a'"),
    ],
)
def test_refuses(selector: object, named: str) -> None:
    for function in (compile_selector, required_equalities):
        with pytest.raises(BadRequest) as caught:
            function(selector)
        assert caught.value.reason.startswith("selector: ")
        assert named in caught.value.reason


def nested(levels: int) -> dict[str, Any]:
    selector: dict[str, Any] = {"a": 1}
    for _ in range(levels - 1):
        selector = {"$not": selector}
    return selector


def test_depth_is_bounded() -> None:
    assert compile_selector(nested(MAX_DEPTH))({"a": 2})
    with pytest.raises(BadRequest, match="64 levels"):
        compile_selector(nested(MAX_DEPTH + 1))
    with pytest.raises(BadRequest, match="64 levels"):
        compile_selector({"$or": [nested(100_000)]})


def test_compiled_selector_is_independent_of_its_source() -> None:
    selector: dict[str, Any] = {"status": {"$in": ["waiting"]}, "tags": {"$eq": ["red"]}}
    matches = compile_selector(selector)
    selector["status"]["$in"].append("done")
    selector["tags"]["$eq"].append("blue")
    assert matches({"status": "waiting", "tags": ["red"]})
    assert not matches({"status": "done", "tags": ["red"]})


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        ({}, {}),
        (
            {"worker": "manobi", "status": {"$in": ["waiting", "cancel"]}},
            {"worker": ("manobi",), "status": ("waiting", "cancel")},
        ),
        ({"worker": {"$eq": "a"}, "date": {"$gt": 1}}, {"worker": ("a",)}),
        ({"$and": [{"worker": "a"}, {"status": "b"}]}, {"worker": ("a",), "status": ("b",)}),
        ({"worker": {"$in": ["a", "b"]}, "$and": [{"worker": {"$in": ["b", "c"]}}]}, {"worker": ("b",)}),
        ({"$and": [{"worker": "a"}, {"worker": "b"}]}, {"worker": ()}),
        ({"worker": {"$in": []}}, {"worker": ()}),
        ({"$or": [{"worker": "a", "x": 1}, {"worker": {"$in": ["b", "a"]}}]}, {"worker": ("a", "b")}),
        ({"$or": [{"worker": "a"}, {"status": "b"}]}, {}),
        ({"$or": []}, {}),
        ({"worker": {"$or": ["a", "b"]}}, {"worker": ("a", "b")}),
        ({"$not": {"worker": {"$ne": "a"}}}, {"worker": ("a",)}),
        ({"$nor": [{"worker": {"$nin": ["a", "b"]}}]}, {"worker": ("a", "b")}),
        ({"worker": {"$ne": "a"}}, {}),
        ({"$not": {"worker": "a"}}, {}),
        ({"$nor": [{"worker": "a"}]}, {}),
        ({"claim": {"at": 7}}, {}),
        ({"claim.at": 7}, {}),
        ({"claim\\.at": 7}, {"claim.at": (7,)}),
        ({"a": None, "b": True, "c": [1], "d": {}, "e": {"$in": ["x", None]}}, {}),
        ({"tags": {"$elemMatch": {"worker": "a"}}}, {}),
    ],
)
def test_required_equalities(selector: object, hint: dict[str, tuple[Any, ...]]) -> None:
    assert required_equalities(selector) == hint


# From CouchDB's documentation, "Views Collation", without what depends on the language of strings.
IN_ORDER: list[Any] = [
    None, False, True,
    -5, 1, 1.5, 2, 3.0, 4,
    "", "a", "aa", "b", "ba", "bb",
    [], ["a"], ["a", 1], ["a", "a"], ["a", []], ["a", {}], ["b"], ["b", "c"], ["b", "c", "a"], ["b", "d"],
    ["b", "d", "e"],
    {}, {"a": 1}, {"a": 2}, {"b": 1}, {"b": 2}, {"b": 2, "a": 1}, {"b": 2, "c": 2},
]  # fmt: skip


def test_collation_follows_the_documented_order() -> None:
    for lower, higher in pairwise(IN_ORDER):
        assert collation_key(lower) < collation_key(higher)
        assert compile_selector({"v": {"$lt": higher}})({"v": lower})
        assert not compile_selector({"v": {"$gte": higher}})({"v": lower})


def test_collation_refuses_what_is_not_json() -> None:
    with pytest.raises(TypeError, match="set"):
        collation_key({1, 2})


def test_types_have_names() -> None:
    names = [json_type(value) for value in (None, False, True, 1, 1.5, "", [], {})]
    assert names == ["null", "boolean", "boolean", "number", "number", "string", "array", "object"]


FIELDS = ("a", "b", "c")
SCALARS = st.sampled_from([None, False, True, 0, 1, 1.0, 2, -3, 0.5, "", "x", "y", "xy"])
VALUES = st.recursive(
    SCALARS,
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(("d", "0")), children, max_size=2)
    ),
    max_leaves=5,
)
DOCUMENTS = st.dictionaries(st.sampled_from(FIELDS), VALUES)
COMPLETE = st.fixed_dictionaries(dict.fromkeys(FIELDS, VALUES))
SOME_VALUES = st.lists(VALUES, max_size=3)

CONDITIONS = st.recursive(
    st.one_of(
        SCALARS,
        st.sampled_from(("$eq", "$ne", "$lt", "$lte", "$gt", "$gte")).flatmap(
            lambda name: VALUES.map(lambda value: {name: value})
        ),
        st.sampled_from(("$in", "$nin", "$all")).flatmap(lambda name: SOME_VALUES.map(lambda values: {name: values})),
        st.booleans().map(lambda wanted: {"$exists": wanted}),
        st.sampled_from(("null", "string", "array")).map(lambda name: {"$type": name}),
        st.just({"$regex": "^x"}),
        st.just({"$mod": [2, 1]}),
        st.integers(0, 3).map(lambda size: {"$size": size}),
    ),
    lambda children: st.one_of(
        children.filter(lambda child: isinstance(child, dict)).map(lambda child: {"$not": child}),
        st.sampled_from(("$and", "$or", "$nor")).flatmap(
            lambda name: st.lists(children, min_size=1, max_size=3).map(lambda parts: {name: parts})
        ),
        st.sampled_from(("$elemMatch", "$allMatch", "$keyMapMatch")).flatmap(
            lambda name: children.filter(lambda child: isinstance(child, dict)).map(lambda child: {name: child})
        ),
    ),
    max_leaves=4,
)
SELECTORS = st.recursive(
    st.dictionaries(st.sampled_from(FIELDS), CONDITIONS, min_size=1),
    lambda children: st.one_of(
        children.map(lambda child: {"$not": child}),
        st.sampled_from(("$and", "$or", "$nor")).flatmap(
            lambda name: st.lists(children, min_size=1, max_size=3).map(lambda parts: {name: parts})
        ),
    ),
    max_leaves=5,
)


@given(SELECTORS, COMPLETE)
def test_not_inverts_where_all_fields_are_there(selector: dict[str, Any], document: dict[str, Any]) -> None:
    assert compile_selector({"$not": selector})(document) is not compile_selector(selector)(document)


@given(SELECTORS, DOCUMENTS)
def test_a_selector_and_its_negation_never_both_match(selector: dict[str, Any], document: dict[str, Any]) -> None:
    assert not (compile_selector({"$not": selector})(document) and compile_selector(selector)(document))


@given(SELECTORS, DOCUMENTS)
def test_two_negations_cancel_out(selector: dict[str, Any], document: dict[str, Any]) -> None:
    assert compile_selector({"$not": {"$not": selector}})(document) is compile_selector(selector)(document)


@given(st.lists(SELECTORS, min_size=1, max_size=4), DOCUMENTS)
def test_combinations_are_all_any_and_none(selectors: list[dict[str, Any]], document: dict[str, Any]) -> None:
    matches = [compile_selector(selector)(document) for selector in selectors]
    negated = [compile_selector({"$not": selector})(document) for selector in selectors]
    assert compile_selector({"$and": selectors})(document) is all(matches)
    assert compile_selector({"$or": selectors})(document) is any(matches)
    assert compile_selector({"$nor": selectors})(document) is all(negated)


@given(st.dictionaries(st.sampled_from(FIELDS), CONDITIONS, min_size=2), DOCUMENTS)
def test_fields_side_by_side_are_all_wanted(selector: dict[str, Any], document: dict[str, Any]) -> None:
    single = [compile_selector({field: condition})(document) for field, condition in selector.items()]
    assert compile_selector(selector)(document) is all(single)


def satisfies(document: dict[str, Any], hint: dict[str, tuple[Any, ...]]) -> bool:
    return all(
        isinstance(document.get(field), list) or (field in document and document[field] in values)
        for field, values in hint.items()
    )


HINTING = st.dictionaries(
    st.sampled_from(FIELDS),
    st.sampled_from(("x", "y", 1))
    | st.lists(st.sampled_from(("x", "y", 1, 2)), max_size=3).map(lambda values: {"$in": values}),
    min_size=1,
)
HINTING_TREES = st.recursive(
    HINTING | SELECTORS,
    lambda children: st.sampled_from(("$and", "$or", "$nor")).flatmap(
        lambda name: st.lists(children, min_size=1, max_size=3).map(lambda parts: {name: parts})
    ),
    max_leaves=4,
)


@given(HINTING_TREES, DOCUMENTS)
def test_required_equalities_hold_in_all_that_match(selector: dict[str, Any], document: dict[str, Any]) -> None:
    if compile_selector(selector)(document):
        assert satisfies(document, required_equalities(selector))


OPERATORS = (
    "$and",
    "$or",
    "$not",
    "$nor",
    "$in",
    "$all",
    "$elemMatch",
    "$mod",
    "$size",
    "$regex",
    "$eq",
    "$x",
    "a",
    "b.d",
)
ANYTHING = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(OPERATORS), children, max_size=3),
    max_leaves=8,
)


@given(ANYTHING, DOCUMENTS)
def test_any_json_is_compiled_or_refused(selector: object, document: dict[str, Any]) -> None:
    before = copy.deepcopy(selector)
    try:
        matches = compile_selector(selector)
    except BadRequest:
        with pytest.raises(BadRequest):
            required_equalities(selector)
    else:
        assert matches(document) in (True, False)
        assert satisfies(document, required_equalities(selector)) or not matches(document)
    assert selector == before


def compare(one: Any, other: Any) -> int:
    """The documented order, written a second time as a comparison."""
    ranks = [
        ["null", "boolean", "number", "string", "array", "object"].index(json_type(value)) for value in (one, other)
    ]
    if ranks[0] != ranks[1]:
        return ranks[0] - ranks[1]
    if isinstance(one, list | dict):
        pair = [list(value.items()) if isinstance(value, dict) else value for value in (one, other)]
        for left, right in zip(*pair, strict=False):
            parts = zip(left, right, strict=True) if isinstance(one, dict) else [(left, right)]
            for difference in (compare(*part) for part in parts):
                if difference:
                    return difference
        return len(one) - len(other)
    return 0 if one is None else (one > other) - (one < other)


@given(st.lists(VALUES, max_size=6))
def test_keys_sort_as_comparison_does(values: list[Any]) -> None:
    assert sorted(values, key=collation_key) == sorted(values, key=cmp_to_key(compare))


@given(VALUES, VALUES)
def test_comparisons_agree_with_the_order(value: Any, bound: Any) -> None:
    order = compare(value, bound)
    for name, relation in (("lt", operator.lt), ("lte", operator.le), ("gt", operator.gt), ("gte", operator.ge)):
        assert compile_selector({"v": {f"${name}": bound}})({"v": value}) is relation(order, 0)
    assert compile_selector({"v": {"$eq": bound}})({"v": value}) is (order == 0)
    assert compile_selector({"v": {"$ne": bound}})({"v": value}) is (order != 0)
