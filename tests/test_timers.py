from __future__ import annotations

import gc
import weakref
from datetime import datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from after.timers import Timer, Timers


class Nowhere:
    """Timers of these tests belong to no scheduler."""

    def cancel(self, timer: Timer) -> bool:
        raise NotImplementedError

    def reschedule(self, timer: Timer, date: datetime | str | int) -> bool:
        raise NotImplementedError


def timer(date: int, *arguments: Any) -> Timer:
    return Timer(date, print, arguments, Nowhere())


def all_due(timers: Timers, now: int) -> list[Timer]:
    found = []
    while (due := timers.pop_due(now)) is not None:
        found.append(due)
    return found


class AgainstASortedList(RuleBasedStateMachine):
    """Whatever is done, `Timers` gives what a list sorted by tick and insertion gives."""

    @initialize(resolution=st.sampled_from([1, 10, 1000]))
    def begin(self, resolution: int) -> None:
        self.resolution = resolution
        self.timers = Timers(resolution)
        self.model: list[tuple[int, Timer]] = []
        self.gone: list[Timer] = []

    @rule(date=st.integers(-50, 50), far=st.integers(0, 3))
    def insert(self, date: int, far: int) -> None:
        self.add(timer(date + far * 10_000))

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.model:
            tick, chosen = data.draw(st.sampled_from(self.model))
            self.model.remove((tick, chosen))
            assert self.timers.remove(chosen)
            self.gone.append(chosen)

    @rule(data=st.data())
    def remove_again(self, data: st.DataObject) -> None:
        if self.gone:
            assert not self.timers.remove(data.draw(st.sampled_from(self.gone)))

    @rule(data=st.data(), date=st.integers(-50, 50))
    def insert_again(self, data: st.DataObject, date: int) -> None:
        if self.gone:
            back = data.draw(st.sampled_from(self.gone))
            self.gone.remove(back)
            back.date = date
            self.add(back)

    @rule(now=st.integers(-60, 40_000))
    def pop(self, now: int) -> None:
        expected = [due for tick, due in self.model if tick <= now]
        self.model = self.model[len(expected) :]
        found = all_due(self.timers, now)
        assert found == expected
        assert all(due.date <= now for due in found)
        self.gone.extend(found)

    @invariant()
    def same(self) -> None:
        assert len(self.timers) == len(self.model)
        assert self.timers.next_due() == (self.model[0][0] if self.model else None)

    def add(self, new: Timer) -> None:
        tick = -(-new.date // self.resolution) * self.resolution
        assert self.timers.insert(new) == tick
        self.model.append((tick, new))
        self.model.sort(key=lambda entry: entry[0])


TestAgainstASortedList = AgainstASortedList.TestCase


def test_timers_of_a_tick_come_in_the_order_of_their_insertion() -> None:
    timers = Timers(resolution=1000)
    inserted = [timer(date) for date in (900, 100, 500)]
    for each in inserted:
        timers.insert(each)
    assert timers.next_due() == 1000
    assert all_due(timers, 999) == []
    assert all_due(timers, 1000) == inserted


def test_a_tick_is_at_least_a_millisecond() -> None:
    with pytest.raises(ValueError, match="less than 1 ms"):
        Timers(0)


def test_dropped_timers_leave_no_memory() -> None:
    timers = Timers()
    kept = timer(10**9)
    timers.insert(kept)
    dropped = [timer(date) for date in range(10_000)]
    for each in dropped:
        timers.insert(each)
    for each in dropped:
        timers.remove(each)
    assert len(timers._heap) <= 100
    assert timers.next_due() == 10**9
    assert gc.get_referrers(dropped[5]) == [dropped], "only the test's own list still holds it"


@pytest.mark.parametrize("leaver", [0, 1])
def test_a_timer_left_alone_in_its_tick_is_no_reference_cycle_and_can_leave_only_once(leaver: int) -> None:
    timers = Timers()
    twins = [timer(5), timer(5)]
    for each in twins:
        timers.insert(each)
    assert timers.remove(twins.pop(leaver))
    (left,) = twins
    assert left.previous is None
    assert left.next is None
    assert timers.remove(left)
    timers.insert(timer(5))
    assert not timers.remove(left)
    assert len(timers) == 1


class Held:
    """What a timer's arguments keep alive."""


def test_clear_drops_also_what_somebody_still_holds() -> None:
    timers = Timers()
    held = Held()
    gone = weakref.ref(held)
    twins = [timer(5, held), timer(5, held), timer(6, held)]
    for each in twins:
        timers.insert(each)
    del held
    assert gone() is not None
    timers.clear()
    assert gone() is None
    assert not any(each.pending for each in twins)
    assert len(timers) == 0
    assert timers.next_due() is None
