"""From a failed attempt to the next one, or to none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from after.retry import delay
from after.task import Retry

POLICIES = st.builds(
    Retry,
    limit=st.integers(0, 1_000_000),
    interval=st.sampled_from(["PT0S", "PT0.001S", "PT10S", "P1D", "P3650000D"]),
    backoff=st.floats(1, 1000),
    max=st.sampled_from([None, "PT0S", "PT1M", "P1D"]),
    jitter=st.floats(0, 1),
)


def delays(policy: Retry, attempts: range, chance: float = 0.5) -> list[int | None]:
    return [delay(policy, attempt, chance) for attempt in attempts]


def test_without_a_policy_there_is_no_retry() -> None:
    assert delay(None, 1, 0.5) is None
    assert delay(Retry(), 1, 0.5) is None


def test_the_limit_counts_retries_not_runs() -> None:
    assert delays(Retry(limit=3, interval="PT10S"), range(1, 6)) == [10_000, 10_000, 10_000, None, None]


def test_the_wait_grows_by_the_backoff_up_to_the_maximum() -> None:
    policy = Retry(limit=9, interval="PT10S", backoff=2, max="PT1M")
    assert delays(policy, range(1, 7)) == [10_000, 20_000, 40_000, 60_000, 60_000, 60_000]


def test_a_maximum_below_the_interval_wins() -> None:
    assert delay(Retry(limit=1, interval="PT1H", max="PT1M"), 1, 0.5) == 60_000


def test_without_a_maximum_the_wait_stops_growing_at_a_year() -> None:
    assert delay(Retry(limit=100, interval="PT1S", backoff=10), 50, 0.5) == 365 * 86_400_000


@pytest.mark.parametrize(("interval", "expected"), [("PT0S", 0), ("PT1S", 3_600_000)])
def test_a_backoff_beyond_all_numbers(interval: str, expected: int) -> None:
    policy = Retry(limit=1_000_000, interval=interval, backoff=1000.0, max="PT1H")
    assert delays(policy, range(100, 110)) == [expected] * 10
    assert delay(policy, 1_000_000, 0.5) == expected


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 9_000), (0.25, 9_500), (0.5, 10_000), (1.0, 11_000)])
def test_jitter_spreads_the_wait_evenly_to_both_sides(chance: float, expected: int) -> None:
    assert delay(Retry(limit=1, interval="PT10S", jitter=0.1), 1, chance) == expected


@given(POLICIES, st.integers(1, 1_000_001), st.floats(0, 1))
def test_a_wait_is_never_negative_and_there_is_one_up_to_the_limit(policy: Retry, attempt: int, chance: float) -> None:
    wait = delay(policy, attempt, chance)
    assert (wait is None) == (attempt > policy.limit)
    assert wait is None or wait >= 0


@given(POLICIES, st.integers(1, 300))
def test_without_jitter_a_later_attempt_never_waits_less(policy: Retry, attempt: int) -> None:
    now, later = delay(policy, attempt, 0.5), delay(policy, attempt + 1, 0.5)
    assert now is None or later is None or now <= later
