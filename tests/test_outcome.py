"""What a job returns or raises, as an outcome that a document can carry."""

from __future__ import annotations

import collections
import datetime
import enum
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from after.outcome import (
    MAX_DEPTH,
    MAX_MESSAGE,
    MAX_RESULT,
    MAX_TRACEBACK,
    Done,
    Failed,
    failed,
    of_exception,
    of_result,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Word(str):
    __slots__ = ()


class Colour(enum.StrEnum):
    RED = "red"


def nested(depth: int, kind: type = list) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@given(JSON)
def test_json_is_kept_and_can_be_stored(result: object) -> None:
    outcome = of_result(result)
    assert outcome == Done(result)
    assert msgspec.json.decode(msgspec.json.encode(outcome)) == {"result": result}


@pytest.mark.parametrize(
    "result",
    [
        float("nan"), [1, float("inf")], {"a": -float("inf")}, {1, 2}, b"bytes", object(), {"a": object()},
        datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC), 1j, {(1, 2): 3}, "\ud800", {"\udfff": 1}, ["a", "\ud83d"],
        circular(), nested(100_000), 10**5000, iter([1]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_not_json_is_a_failure_that_no_retry_helps(result: object) -> None:
    outcome = of_result(result)
    assert isinstance(outcome, Failed)
    assert outcome.final
    assert outcome.error.type == "ResultNotJSON"
    assert outcome.error.message.startswith("the job returned what is not JSON: ")
    msgspec.json.encode(outcome)


@pytest.mark.parametrize(
    "result", [2**63, 2**64, -(2**63) - 1, 10**4000], ids=lambda value: f"{value.bit_length()} bits"
)
def test_integers_beyond_64_bits_survive_being_stored(result: int) -> None:
    assert of_result(result) == Done(result)
    assert msgspec.json.decode(msgspec.json.encode({"result": result})) == {"result": result}


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        ((1, (2,)), [1, [2]]),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        (Word("a"), "a"),
        (Colour.RED, "red"),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
    ],
)
def test_what_json_can_say_is_kept_as_plain_json(result: object, kept: object) -> None:
    outcome = of_result(result)
    assert isinstance(outcome, Done)
    assert outcome.result == kept
    assert type(outcome.result) is type(kept)
    msgspec.json.encode(outcome)


def test_what_the_job_does_to_its_result_afterwards_changes_nothing() -> None:
    result = {"a": [1]}
    outcome = of_result(result)
    result["a"].append(2)
    assert outcome == Done({"a": [1]})


def test_a_result_as_large_as_allowed_and_one_byte_more() -> None:
    assert of_result("x" * (MAX_RESULT - 2)) == Done("x" * (MAX_RESULT - 2))
    outcome = of_result("x" * (MAX_RESULT - 1))
    assert isinstance(outcome, Failed)
    assert outcome.final
    assert outcome.error.type == "ResultTooLarge"
    assert str(MAX_RESULT) in outcome.error.message


def test_size_is_counted_in_bytes_not_characters() -> None:
    outcome = of_result("é" * (MAX_RESULT // 2))
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "ResultTooLarge"


@pytest.mark.parametrize("kind", [list, dict])
def test_a_result_as_deep_as_allowed_and_one_level_more(kind: type) -> None:
    assert of_result(nested(MAX_DEPTH, kind)) == Done(nested(MAX_DEPTH, kind))
    outcome = of_result([1, {"b": "["}, nested(MAX_DEPTH, kind)])
    assert isinstance(outcome, Failed)
    assert outcome.final
    assert outcome.error.type == "ResultTooDeep"


def test_brackets_in_text_are_not_depth() -> None:
    assert of_result("[" * 100) == Done("[" * 100)


def test_no_result_is_done() -> None:
    assert of_result(None) == Done(None)


def raised(call: Any) -> Failed:
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - as a worker does
        return of_exception(error)
    raise AssertionError("nothing was raised")


def broken_job() -> None:
    raise ValueError("no such campaign")


def test_an_exception_is_told_with_type_message_and_traceback() -> None:
    outcome = raised(broken_job)
    assert not outcome.final
    assert (outcome.error.type, outcome.error.message) == ("ValueError", "no such campaign")
    assert "broken_job" in str(outcome.error.traceback)
    assert str(outcome.error.traceback).endswith("ValueError: no such campaign\n")


@pytest.mark.parametrize(
    ("code", "shown"), [(None, "None"), (0, "0"), (3, "3"), ("bye", "'bye'")], ids=["none", "zero", "three", "text"]
)
def test_sys_exit_fails_the_job_not_the_worker(code: Any, shown: str) -> None:
    outcome = raised(lambda: sys.exit(code))
    assert (outcome.error.type, outcome.error.message) == ("SystemExit", f"the job called sys.exit({shown})")


def test_a_keyboard_interrupt_is_told_too() -> None:
    outcome = of_exception(KeyboardInterrupt())
    assert (outcome.error.type, outcome.error.message) == ("KeyboardInterrupt", "")


def test_long_messages_and_tracebacks_are_cut_and_the_end_of_the_traceback_is_kept() -> None:
    outcome = of_exception(RuntimeError("x" * 100_000 + "end"))
    assert len(outcome.error.message) == MAX_MESSAGE
    assert len(str(outcome.error.traceback)) == MAX_TRACEBACK
    assert str(outcome.error.traceback).endswith("end\n")


def test_what_utf8_cannot_carry_is_replaced() -> None:
    assert of_exception(RuntimeError("a\ud800b")).error.message == "a?b"
    assert failed("Kind", "a\udfffb").error.message == "a?b"
    msgspec.json.encode(of_exception(RuntimeError("a\ud800b")))


def test_an_exception_that_cannot_even_be_shown() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise KeyError("worse")

    outcome = of_exception(Broken())
    assert (outcome.error.type, outcome.error.message) == ("Broken", "its message cannot be read: KeyError")


def test_failures_that_after_finds_itself() -> None:
    assert failed("Expired", "too late", final=True).final
    assert not failed("Timeout", "too long").final
    assert len(failed("Kind", "x" * 100_000).error.message) == MAX_MESSAGE
