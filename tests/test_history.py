"""Archives of long histories: when they are made, and that nothing is lost on the way."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from after.history import ARCHIVED, BLOCK, KEPT, archive, archive_ids, cut, entries, packed, unpacked
from after.task import Document


def task_of(entries: int, archived: int | None = None) -> Document:
    first = archived or 0
    history = [{"at": f"{n}", "status": "waiting"} for n in range(first, first + entries)]
    return {"_id": "t", "history": history} | ({} if archived is None else {"archived": archived})


def test_a_short_history_stays_with_its_task() -> None:
    assert archive(task_of(ARCHIVED + KEPT - 1)) is None


def test_the_oldest_entries_go_first() -> None:
    task = task_of(ARCHIVED + KEPT)
    stored = archive(task)
    assert stored is not None
    assert (stored["_id"], stored["type"], stored["task"], stored["number"]) == ("history:t:0", "history", "t", 0)
    rest = cut(task, stored)
    assert (len(rest["history"]), rest["archived"]) == (KEPT, ARCHIVED)
    assert stored["history"] + rest["history"] == task["history"]


def test_archives_are_counted_on() -> None:
    task = task_of(ARCHIVED + KEPT, archived=300)
    stored = archive(task)
    assert stored is not None
    assert stored["_id"] == "history:t:3"
    assert archive_ids(cut(task, stored)) == [f"history:t:{n}" for n in range(4)]


def test_nothing_is_cut_that_the_archive_does_not_have() -> None:
    task = task_of(ARCHIVED + KEPT)
    stored = archive(task)
    assert stored is not None
    changed = {**task, "history": [{"at": "other", "status": "waiting"}, *task["history"]]}
    assert cut(changed, stored) is changed
    once = cut(task, stored)
    assert cut(once, stored) is once


@given(st.lists(st.integers(1, 250), max_size=12))
def test_the_whole_history_is_found_by_its_numbers(steps: list[int]) -> None:
    task, archives, total = task_of(0), {}, 0
    for step in steps:
        task = {**task, "history": [*task["history"], *({"at": f"{n}"} for n in range(total, total + step))]}
        total += step
        while (stored := archive(task)) is not None:
            archives[stored["_id"]] = stored
            task = cut(task, stored)
        assert len(task["history"]) < ARCHIVED + KEPT
    first = task.get("archived", 0)
    for n in range(total):
        where = (
            archives[f"history:t:{n // ARCHIVED}"]["history"][n % ARCHIVED] if n < first else task["history"][n - first]
        )
        assert where == {"at": f"{n}"}


@given(st.lists(st.integers(0, 35), max_size=15))
def test_packing_changes_nothing_that_is_told(steps: list[int]) -> None:
    plain = kept = task_of(1)
    for step in steps:
        new = [{"at": f"{n}", "status": "done", "next": "\u00e9,}"} for n in range(step)]
        plain, kept = ({**task, "history": [*task["history"], *new]} for task in (plain, kept))
        kept = packed(kept)
        assert len(kept["history"]) <= len(plain["history"]) // BLOCK + BLOCK
        assert isinstance(kept["history"][-1], dict)
        assert unpacked(kept) == msgspec.json.decode(msgspec.json.encode(kept)) == plain
        if (stored := archive(plain)) is not None:
            assert archive(kept) == stored
            plain, kept = cut(plain, stored), cut(kept, stored)
            assert unpacked(kept) == plain


def test_what_is_no_entry_stays_where_it_is() -> None:
    """Somebody may have written it round all rules; the rest goes on."""
    odd = {"_id": "t", "history": [1, None, "x", *task_of(ARCHIVED + KEPT)["history"]]}
    kept = packed(odd)
    assert kept is not odd
    assert unpacked(kept) == odd
    assert entries(kept) == task_of(ARCHIVED + KEPT)["history"]
    assert archive(kept) == archive(odd)
    for none in ({"_id": "t"}, {"_id": "t", "history": "x"}):
        assert packed(none) == unpacked(none) == none
