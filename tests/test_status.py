"""The table of transitions against a second statement of it, and against the sentences of the contract."""

from __future__ import annotations

import pytest

from after.status import ENDED, HELD, NEW_BY_CLIENT, REQUESTS, STATUSES, TRANSITIONS, Role, Status, refused

# Row: old status; column: new status. c: clients and workers, w: workers only, -: nobody.
GRID = """
             waiting schedule reschedule scheduled running done err cancel canceled
new          c       c        w          w         w       w    w   w      w
waiting      c       c        c          w         w       c    c   c      -
schedule     c       c        c          w         w       c    c   c      -
reschedule   c       c        c          w         w       c    c   c      -
scheduled    w       c        c          c         w       c    c   c      -
running      w       -        c          w         c       c    c   c      -
cancel       -       c        c          -         -       c    c   c      w
done         -       c        -          -         -       c    -   -      -
err          -       c        -          -         -       -    c   -      -
canceled     -       c        -          -         -       -    -   -      c
"""

WHO = {"c": {Role.CLIENT, Role.WORKER}, "w": {Role.WORKER}, "-": set()}


def pairs() -> list[tuple[str | None, str, str]]:
    header, *rows = GRID.strip().splitlines()
    columns = header.split()
    cells = [row.split() for row in rows]
    return [
        (None if old == "new" else old, new, who) for old, *row in cells for new, who in zip(columns, row, strict=True)
    ]


def allowed(old: str | None, new: str, role: Role = Role.CLIENT) -> bool:
    return refused(old, new, role) is None


def test_the_grid_has_every_pair_once() -> None:
    assert len({(old, new) for old, new, _ in pairs()}) == len(pairs()) == 10 * 9
    assert {old for old, _, _ in pairs()} == {None, *STATUSES}


@pytest.mark.parametrize(("old", "new", "who"), pairs())
def test_every_pair_for_both_roles(old: str | None, new: str, who: str) -> None:
    assert {role for role in Role if allowed(old, new, role)} == WHO[who]


@pytest.mark.parametrize(("old", "new", "who"), pairs())
def test_a_refusal_names_both_statuses(old: str | None, new: str, who: str) -> None:
    for role in set(Role) - WHO[who]:
        reason = refused(old, new, role)
        assert reason is not None
        assert reason.startswith("status: ")
        assert f"'{new}'" in reason
        assert ("new task" if old is None else f"'{old}'") in reason


def test_the_table_speaks_of_known_statuses_only() -> None:
    assert {status for pair in TRANSITIONS for status in pair} == {None, *STATUSES}


def test_a_worker_may_do_all_that_a_client_may() -> None:
    assert all(Role.WORKER in roles for roles in TRANSITIONS.values())


@pytest.mark.parametrize("new", ["scheduled", "running", "canceled"])
def test_worker_only_statuses_are_never_set_by_a_client(new: str) -> None:
    assert not any(allowed(old, new) for old in (None, *STATUSES) if old != new)


@pytest.mark.parametrize("old", sorted(ENDED))
def test_schedule_is_the_only_way_back_for_an_ended_task(old: str) -> None:
    for role in Role:
        assert {new for new in STATUSES if allowed(old, new, role)} == {old, "schedule"}


@pytest.mark.parametrize("old", sorted(STATUSES - ENDED))
def test_a_client_can_complete_from_outside_what_has_not_ended(old: str) -> None:
    assert allowed(old, "done")
    assert allowed(old, "err")


@pytest.mark.parametrize("old", ["waiting", "scheduled", "running"])
def test_cancel_stops_what_waits_is_scheduled_or_runs(old: str) -> None:
    assert allowed(old, "cancel")


def test_only_a_cancel_becomes_canceled() -> None:
    assert {old for old in STATUSES - {"canceled"} if allowed(old, "canceled", Role.WORKER)} == {"cancel"}


def test_a_canceled_task_is_not_started() -> None:
    assert not any(allowed("cancel", new, Role.WORKER) for new in HELD)


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_any_task_may_stay_as_it_is(status: str) -> None:
    assert all(allowed(status, status, role) for role in Role)


@pytest.mark.parametrize("old", [None, *sorted(STATUSES)])
@pytest.mark.parametrize("new", ["", "Done", "paused", "waiting "])
def test_an_unknown_status_is_refused_with_the_list(old: str | None, new: str) -> None:
    for role in Role:
        reason = refused(old, new, role)
        assert reason is not None
        assert f"'{new}'" in reason
        assert all(status in reason for status in STATUSES)


def test_from_an_unknown_status_nothing_is_allowed() -> None:
    assert refused("paused", "waiting", Role.WORKER) == "status: 'paused' cannot become 'waiting'"


def test_the_groups() -> None:
    assert set(Status) == STATUSES
    assert {"done", "err", "canceled"} == ENDED
    assert {"scheduled", "running"} == HELD
    assert REQUESTS == STATUSES - ENDED - HELD
    assert {"waiting", "schedule"} == NEW_BY_CLIENT
