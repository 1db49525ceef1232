"""What the field `repeat` of a task may say."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Gap = Literal["shift", "skip"]
Overlap = Literal["first", "second", "both"]
CatchUp = Literal["one", "all", "none"]

DEFAULT_CATCH_UP_LIMIT = 1_000
"""How many missed occurrences `all` makes up for where the task does not say."""


class Dst(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a nominal time that a change of the clocks leaves out, or that comes twice."""

    gap: Gap = "shift"
    overlap: Overlap = "first"


class Repeat(Struct, frozen=True, forbid_unknown_fields=True):
    """When a task runs again: exactly one of `interval`, `cron` and `rrule`, and what goes with it."""

    interval: Annotated[str, Meta(description="An ISO 8601 duration; days and longer are calendar units")] | None = None
    cron: Annotated[str, Meta(description="A cron expression of five or six fields, or such as @daily")] | None = None
    rrule: Annotated[str, Meta(description="A recurrence rule of RFC 5545, without its name")] | None = None
    timezone: Annotated[str, Meta(description="An IANA time zone; absent means UTC")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000_000_000, description="How often it runs in all")] | None = None
    until: Annotated[str, Meta(description="ISO 8601; no occurrence is later")] | None = None
    jitter: Annotated[str, Meta(description="An ISO 8601 duration; each run is late by a part of it")] | None = None
    catch_up: CatchUp | None = None
    catch_up_limit: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    dst: Dst | None = None
