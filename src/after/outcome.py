"""The ways in which a run can end. Exceptions become outcomes here and nowhere else."""

from __future__ import annotations

import json
import traceback

import msgspec
from msgspec import Struct

from after.task import Failure

MAX_RESULT = 512 * 1024
"""Bytes of JSON that a job may return; a document may have twice as much."""
MAX_DEPTH = 60
"""Arrays and objects that a result may nest; a document, in which it stands, may nest 64."""
MAX_TRACEBACK = 16 * 1024
MAX_MESSAGE = 4 * 1024


class Done(Struct, frozen=True, gc=False):
    """The job returned; `result` is JSON."""

    result: object = None


class Failed(Struct, frozen=True):
    """The job failed. `final` means that another try would fail in the same way.

    `wait` is how many ms who was asked wants to be left alone; the next try is not earlier, whatever the policy says.
    """

    error: Failure
    final: bool = False
    wait: int | None = None


class Stopped(Struct, frozen=True):
    """The run was stopped on request before it ended: cancelled, rescheduled, or ended from outside."""

    note: str | None = None


Outcome = Done | Failed | Stopped


class FailedAs(Exception):
    """What After's own jobs raise, where the class of an exception and its message do not say all: a whole outcome."""

    def __init__(self, failure: Failed) -> None:
        super().__init__(failure.error.message)
        self.failure = failure


def failed(kind: str, message: str, *, final: bool = False, wait: int | None = None) -> Failed:
    """Give a failure that After itself found, under the name `kind`."""
    return Failed(Failure(kind, _clean(message)[:MAX_MESSAGE]), final, wait)


def of_result(result: object) -> Done | Failed:
    """Give the outcome of a job that returned: done, or failed because the result is not JSON, too large or too deep.

    The result kept is a copy in plain JSON: tuples become arrays, and what the job does to its own object afterwards
    changes nothing.
    """
    if result is None:
        return Done()
    try:
        # Not msgspec's encoder: it lets sets, bytes and NaN pass, but not a subclass of str.
        text = json.dumps(result, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        plain = msgspec.json.decode(text) if len(text) <= MAX_RESULT else None
    except (TypeError, ValueError, RuntimeError) as error:
        return failed("ResultNotJSON", f"the job returned what is not JSON: {error}", final=True)
    if len(text) > MAX_RESULT:
        problem = f"the job returned {len(text)} bytes of JSON; {MAX_RESULT} are kept"
        return failed("ResultTooLarge", problem, final=True)
    if _depth(plain) > MAX_DEPTH:
        return failed("ResultTooDeep", f"the job returned JSON nested deeper than {MAX_DEPTH}", final=True)
    return Done(plain)


def _depth(value: object) -> int:
    """Tell how many arrays and objects stand in one another, without recursion."""
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        level = [inner for part in level for inner in (part.values() if isinstance(part, dict) else part)]
    return depth


def of_exception(error: BaseException) -> Failed:
    """Give the outcome of a job that raised, `SystemExit` included."""
    if isinstance(error, FailedAs):
        return error.failure
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    text = _clean("".join(lines))[-MAX_TRACEBACK:]
    return Failed(Failure(type(error).__name__, _clean(_message(error))[:MAX_MESSAGE], text))


def _message(error: BaseException) -> str:
    try:
        return f"the job called sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error)
    except Exception as broken:  # noqa: BLE001 - the job's own __str__ may raise anything
        return f"its message cannot be read: {type(broken).__name__}"


def _clean(text: str) -> str:
    """Replace what UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()
