"""The ways in which a run can end. Exceptions become outcomes here and nowhere else."""

from __future__ import annotations

import json
import traceback

from msgspec import Struct

from after.task import Failure

MAX_RESULT = 512 * 1024
"""Bytes of JSON that a job may return; a document may have twice as much."""
MAX_TRACEBACK = 16 * 1024
MAX_MESSAGE = 4 * 1024


class Done(Struct, frozen=True):
    """The job returned; `result` is JSON."""

    result: object = None


class Failed(Struct, frozen=True):
    """The job failed. `final` means that another try would fail in the same way."""

    error: Failure
    final: bool = False


class Stopped(Struct, frozen=True):
    """The run was stopped on request before it ended: cancelled, rescheduled, or ended from outside."""

    note: str | None = None


Outcome = Done | Failed | Stopped


def failed(kind: str, message: str, *, final: bool = False) -> Failed:
    """Give a failure that After itself found, under the name `kind`."""
    return Failed(Failure(kind, message[:MAX_MESSAGE]), final)


def of_result(result: object) -> Done | Failed:
    """Give the outcome of a job that returned: done, or failed because the result is not JSON or too large."""
    if result is None:
        return Done()
    try:
        size = len(json.dumps(result, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        return failed("ResultNotJSON", f"the job returned what is not JSON: {error}", final=True)
    if size > MAX_RESULT:
        return failed("ResultTooLarge", f"the job returned {size} bytes of JSON; {MAX_RESULT} are kept", final=True)
    return Done(result)


def of_exception(error: BaseException) -> Failed:
    """Give the outcome of a job that raised, `SystemExit` included."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    message = str(error)
    if isinstance(error, SystemExit):
        message = f"the job called sys.exit({error.code!r})"
    return Failed(Failure(type(error).__name__, _clean(message)[:MAX_MESSAGE], _clean("".join(lines))[-MAX_TRACEBACK:]))


def _clean(text: str) -> str:
    """Replace what UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()
