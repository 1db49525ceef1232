"""The exceptions that After raises.

    AfterError
    ├── Refusal                 an answer that CouchDB's error shape can carry: code, error, reason
    │   ├── BadRequest          400
    │   │   └── InvalidTask     400, names the field of the task that is wrong
    │   ├── Unauthorized        401
    │   ├── Forbidden           403
    │   ├── NotFound            404
    │   ├── MethodNotAllowed    405
    │   ├── Conflict            409
    │   ├── PreconditionFailed  412
    │   ├── TooLarge            413
    │   ├── WrongContentType    415
    │   └── Unavailable         503
    ├── Unreachable             no engine answered
    └── JobError                a job could not be loaded or called

The server turns a `Refusal` into an HTTP answer, the client turns the answer back into the same class.
"""

from __future__ import annotations


class AfterError(Exception):
    """The root of everything that After raises on purpose."""


class Refusal(AfterError):
    """A request that was understood and refused; `reason` is a sentence for people."""

    code = 500
    error = "internal_server_error"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadRequest(Refusal):
    """The request itself is wrong: not JSON, an unknown parameter, a field of the wrong type."""

    code, error = 400, "bad_request"


class InvalidTask(BadRequest):
    """A field of a task is wrong; `reason` begins with the field's name and a colon."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class Unauthorized(Refusal):
    """Name or password is missing or wrong."""

    code, error = 401, "unauthorized"


class Forbidden(Refusal):
    """The rules do not allow this change, whoever asks in this role."""

    code, error = 403, "forbidden"


class NotFound(Refusal):
    """There is no such document, database or path."""

    code, error = 404, "not_found"


class MethodNotAllowed(Refusal):
    """The path exists, the method does not."""

    code, error = 405, "method_not_allowed"


class Conflict(Refusal):
    """The revision named is not the current one, or the document exists and differs."""

    code, error = 409, "conflict"


class PreconditionFailed(Refusal):
    """What should be made exists already."""

    code, error = 412, "file_exists"


class TooLarge(Refusal):
    """A document or a request is over the limit."""

    code, error = 413, "too_large"


class WrongContentType(Refusal):
    """The body is not declared as JSON."""

    code, error = 415, "bad_content_type"


class Unavailable(Refusal):
    """The engine cannot take this now, for example because its disk is full."""

    code, error = 503, "service_unavailable"


class Unreachable(AfterError):
    """No engine answered: refused, cut off, or timed out."""


class JobError(AfterError):
    """A job is not known, could not be loaded, or cannot be called with these arguments."""


def refusal(code: int, error: str, reason: str) -> Refusal:
    """Give the `Refusal` that an HTTP answer stands for; an unknown code keeps its code and error."""
    for kind in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, Conflict,
        PreconditionFailed, TooLarge, WrongContentType, Unavailable,
    ):  # fmt: skip
        if kind.code == code:
            return kind(reason)
    other = Refusal(reason)
    other.code, other.error = code, error
    return other
