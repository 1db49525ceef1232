"""The rule for conflicting revisions: what it decides, and what holds whoever follows it, in whatever order."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from after.conflicts import NOTHING, Held, ranked, resolve
from after.status import ENDED, Role, Status, refused
from after.task import Document

US, PEER, DEAD = "us", "peer", "dead"
LIVING = {PEER}


def entry(at: int, status: str, by: str = "client", **told: Any) -> Document:
    return {"at": f"2026-12-01T09:00:{at:02}.000Z", "status": status, "by": by, **told}


START = [entry(0, "waiting")]


def leaf(rev: str, status: str, *own: Document, holder: str | None = None, **fields: Any) -> Document:
    task = {"_id": "t", "_rev": rev, "worker": "manobi", "job": "give", "status": status, "history": [*START, *own]}
    return {**task, **fields, **({"claim": {"instance": holder, "at": "2026-12-01"}} if holder else {})}


def stored(write: Document | None) -> Document:
    assert write is not None
    return write


def test_what_was_read_before_our_last_write_decides_nothing() -> None:
    leaves = [leaf("2-a", "scheduled", holder=US), leaf("2-b", "cancel", entry(1, "cancel"))]
    assert resolve(leaves, US, LIVING, Held("3-c", begun=False)) == NOTHING


def test_one_revision_is_no_conflict() -> None:
    assert resolve([leaf("1-a", "waiting")], US, LIVING, None) == NOTHING


def test_the_winner_stands_and_tells_what_the_losers_told() -> None:
    winner = leaf("3-b", "done", entry(3, "done", DEAD, duration_ms=5), result=1)
    loser = leaf("3-a", "done", entry(2, "done", PEER, duration_ms=7), result=2)
    resolution = resolve([loser, winner], US, LIVING, None)
    merged = stored(resolution.write)
    assert (merged["_rev"], merged["result"], resolution.delete) == ("3-b", 1, ["3-a"])
    assert [one["by"] for one in merged["history"]] == ["client", PEER, DEAD, "after"]
    note = merged["history"][-1]["note"]
    assert note == "conflicting revisions were merged: 3-b, 3-a; 3-b stands; it was run 2 times at once"


def test_what_has_ended_elsewhere_does_not_run_again() -> None:
    winner = leaf("3-b", "scheduled", entry(1, "scheduled", DEAD), holder=DEAD)
    loser = leaf("2-a", "done", entry(2, "done", PEER, duration_ms=7), result=2)
    resolution = resolve([winner, loser], US, LIVING, None)
    merged = stored(resolution.write)
    assert (merged["_rev"], merged["status"], merged["result"]) == ("3-b", "done", 2)
    assert "claim" not in merged
    assert "times" not in merged["history"][-1]["note"]


def test_a_leaf_that_is_only_the_winners_past_changes_nothing() -> None:
    winner = leaf("5-b", "schedule", entry(2, "done", DEAD), entry(3, "schedule"))
    loser = leaf("4-a", "done", entry(2, "done", DEAD))
    assert resolve([winner, loser], US, LIVING, None) == (resolved := resolve([loser, winner], US, LIVING, None))
    assert (resolved.write, resolved.delete) == (None, ["4-a"])


def test_a_cancel_comes_before_a_claim_that_has_not_begun_and_not_before_a_run() -> None:
    claimed = leaf("2-b", "scheduled", entry(2, "scheduled", US), holder=US)
    cancel = leaf("2-a", "cancel", entry(1, "cancel"))
    waits = resolve([claimed, cancel], US, LIVING, Held("2-b", begun=False))
    runs = resolve([claimed, cancel], US, LIVING, Held("2-b", begun=True))
    assert (stored(waits.write)["status"], waits.drops, waits.delete) == ("cancel", True, ["2-a"])
    assert (stored(runs.write)["status"], runs.drops, runs.delete) == ("scheduled", False, ["2-a"])


def test_a_cancel_that_won_against_our_claim_is_heard_too() -> None:
    claimed = leaf("2-a", "scheduled", entry(2, "scheduled", US), holder=US)
    cancel = leaf("2-b", "cancel", entry(1, "cancel"))
    waits = resolve([claimed, cancel], US, LIVING, Held("2-a", begun=False))
    assert (stored(waits.write)["_rev"], waits.drops, waits.delete) == ("2-b", True, ["2-a"])
    assert resolve([claimed, cancel], US, LIVING, Held("2-a", begun=True)) == NOTHING
    assert resolve([claimed, cancel], PEER, {US}, None).delete == []


def test_what_another_living_process_holds_is_left_to_it() -> None:
    winner = leaf("2-b", "running", entry(2, "running", PEER), holder=PEER)
    loser = leaf("2-a", "cancel", entry(1, "cancel"))
    assert resolve([winner, loser], US, LIVING, None) == NOTHING
    assert resolve([winner, loser], PEER, {US}, Held("2-b", begun=True)).delete == ["2-a"]
    assert resolve([winner, loser], US, set(), None).delete == ["2-a"], "it is dead"


def test_a_claim_that_came_to_nothing_is_deleted_by_who_holds_the_certain_one() -> None:
    certain = leaf("2-b", "scheduled", entry(1, "scheduled", US), holder=US)
    nothing = leaf("2-a", "scheduled", entry(1, "scheduled", PEER), holder=PEER)
    ours = resolve([certain, nothing], US, LIVING, Held("2-b", begun=False))
    assert (stored(ours.write)["claim"]["instance"], ours.delete) == (US, ["2-a"])
    assert resolve([certain, nothing], PEER, {US}, None) == NOTHING, "its history is not told yet"
    told = {**stored(ours.write), "_rev": "3-c"}
    assert resolve([told, nothing], PEER, {US}, None).delete == ["2-a"]


def test_a_certain_claim_that_is_not_the_winner_waits_for_its_next_write() -> None:
    certain = leaf("2-a", "scheduled", entry(1, "scheduled", US), holder=US)
    nothing = leaf("2-b", "scheduled", entry(1, "scheduled", PEER), holder=PEER)
    assert resolve([certain, nothing], US, LIVING, Held("2-a", begun=False)) == NOTHING
    assert resolve([certain, nothing], PEER, {US}, None).delete == [], "the other may be certain"
    run = {**certain, "_rev": "3-a", "status": "running", "history": [*certain["history"], entry(2, "running", US)]}
    assert resolve([run, nothing], US, LIVING, Held("3-a", begun=True)).delete == ["2-b"]


@pytest.mark.parametrize("history", [None, "none", [], [1, {"at": 5}]])
def test_a_history_that_is_none_harms_nothing(history: object) -> None:
    odd = {**leaf("2-b", "waiting"), "history": history}
    merged = stored(resolve([odd, leaf("2-a", "done", entry(1, "done"))], US, LIVING, None).write)
    assert (merged["status"], merged["history"][-1]["by"]) == ("done", "after")


# ---- whoever follows the rule, in whatever order -----------------------------------------------------------------

ENTRIES = st.builds(
    entry,
    st.integers(1, 9),
    st.sampled_from([one.value for one in Status]),
    st.sampled_from([US, PEER, DEAD, "client"]),
)


@st.composite
def conflicting(draw: st.DrawFn) -> list[Document]:
    leaves = []
    for number in range(draw(st.integers(2, 4))):
        status = draw(st.sampled_from([one.value for one in Status]))
        holder = None if status in ENDED else draw(st.sampled_from([None, US, PEER, DEAD]))
        own = draw(st.lists(ENTRIES, max_size=3))
        leaves.append(leaf(f"{draw(st.integers(2, 12))}-{number}", status, *own, holder=holder))
    return leaves


class Store:
    """The leaves of one document, and a database's answers to writes: by revision, deterministic, as CouchDB's."""

    def __init__(self, leaves: list[Document]) -> None:
        self.leaves = {one["_rev"]: one for one in leaves}
        self.everything = entries(leaves)

    def read(self) -> list[Document]:
        return list(self.leaves.values())

    def write(self, document: Document) -> bool:
        old = document["_rev"]
        if old not in self.leaves:
            return False
        body = msgspec.json.encode({**document, "_rev": None})
        rev = f"{int(old.partition('-')[0]) + 1}-{zlib.crc32(body):08x}"
        del self.leaves[old]
        self.leaves[rev] = {**document, "_rev": rev}
        return True

    def delete(self, revs: list[str]) -> None:
        for rev in revs:
            self.leaves.pop(rev, None)


def entries(leaves: list[Document]) -> Counter[bytes]:
    """Count each entry as often as the history that has it most often."""
    found: Counter[bytes] = Counter()
    for one in leaves:
        found |= Counter(msgspec.json.encode(told) for told in one["history"])
    return found


@given(conflicting(), st.randoms(use_true_random=False))
def test_the_order_in_which_leaves_are_read_does_not_matter(leaves: list[Document], chance: random.Random) -> None:
    mixed = chance.sample(leaves, len(leaves))
    assert resolve(leaves, US, LIVING, None) == resolve(mixed, US, LIVING, None)
    assert ranked(leaves) == ranked(mixed)


@given(conflicting())
def test_what_is_written_is_allowed_and_loses_nothing(leaves: list[Document]) -> None:
    resolution = resolve(leaves, US, LIVING, None)
    winner = ranked(leaves)[0]
    assert winner["_rev"] not in resolution.delete
    assert set(resolution.delete) < {one["_rev"] for one in leaves}
    if resolution.write is not None:
        assert resolution.write["_rev"] == winner["_rev"]
        assert refused(winner["status"], resolution.write["status"], Role.WORKER) is None
        assert entries([resolution.write]) >= entries(leaves)
        dates = [one["at"] for one in resolution.write["history"]]
        assert dates == sorted(dates)
    elif resolution.delete:
        gone = [one for one in leaves if one["_rev"] in resolution.delete]
        assert entries([winner]) >= entries(gone), "only what the stored winner tells is deleted"


@given(conflicting())
def test_two_that_know_the_same_write_the_same(leaves: list[Document]) -> None:
    third, fourth = (resolve(leaves, name, {US, PEER}, None) for name in ("third", "fourth"))
    assert msgspec.json.encode(third.write) == msgspec.json.encode(fourth.write)
    assert third.delete == fourth.delete


@settings(max_examples=300)
@given(conflicting(), st.randoms(use_true_random=False), st.booleans())
def test_processes_that_resolve_at_the_same_time_end_with_one_leaf_that_tells_everything(
    leaves: list[Document], chance: random.Random, peer_lives: bool
) -> None:
    """Each reads, writes and deletes in steps that interleave at random, each by what it read before."""
    store = Store(leaves)
    names = [US, PEER] if peer_lives else [US, "third"]

    def working(name: str) -> Any:
        while len(store.leaves) > 1:
            resolution = resolve(store.read(), name, set(names) - {name}, None)
            yield
            if resolution.write is None or store.write(resolution.write):
                yield
                store.delete(resolution.delete)
            yield

    going = {name: working(name) for name in names}
    for step in range(200):
        if not going:
            break
        # At random at first, and then in turn: nobody waits for ever.
        name = chance.choice(sorted(going)) if step < 50 else sorted(going)[step % len(going)]
        try:
            next(going[name])
        except StopIteration:
            del going[name]
        assert store.leaves
        assert entries(store.read()) >= store.everything
    assert len(store.leaves) == 1
    (last,) = store.read()
    assert entries([last]) >= store.everything
