"""Reading requests and giving answers: JSON in CouchDB's shape, limits, and the guard of a server without users."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from after.errors import (
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Refusal,
    TooLarge,
    WrongContentType,
    refusal,
)
from after.task import Document

logger = logging.getLogger(__name__)

MAX_DOCUMENT = 1024 * 1024
MAX_REQUEST = 16 * 1024 * 1024
MAX_DOCUMENTS = 10_000
MAX_DEPTH = 64
NEW_REV = "X-Couch-Update-NewRev"
"""The header with the revision that a write has made: on CouchDB the only place where it can stand."""
MAX_DIGITS = 20
"""Of a number in a query, zeros before it counted."""

CURL_HINT = "the body needs the header Content-Type: application/json; with curl: -H 'Content-Type: application/json'"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


class JSON(Response):
    """An answer whose content is JSON already, or becomes it here."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else _encode(content) + b"\n"


def error_answer(error: Refusal) -> JSON:
    """Give the answer for a refusal: `{"error", "reason"}` with its code."""
    return JSON({"error": error.error, "reason": error.reason}, error.code)


async def on_refusal(request: Request, error: Exception) -> Response:
    """Answer what an endpoint raised on purpose."""
    assert isinstance(error, Refusal)
    return error_answer(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router raised, in the same shape as everything else."""
    assert isinstance(error, HTTPException)
    kinds = {404: NotFound("no such path"), 405: MethodNotAllowed("this path does not take this method")}
    known = kinds.get(error.status_code) or refusal(error.status_code, "error", error.detail)
    answer = error_answer(known)
    answer.headers.update(error.headers or {})
    return answer


async def on_disconnect(request: Request, error: Exception) -> Response:
    """A client that went away in the middle of its request has sent none: nothing is stored."""
    return error_answer(BadRequest("the body ended before its Content-Length"))


async def on_error(request: Request, error: Exception) -> Response:
    """Answer a defect of our own; Starlette logs it with its cause."""
    return JSON({"error": "internal_server_error", "reason": "the server failed; its log says why"}, 500)


HANDLERS: dict[Any, Any] = {
    Refusal: on_refusal,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
    Exception: on_error,
}


async def body(request: Request, types: Iterable[str] = ("application/json",)) -> bytes:
    """Give the whole body; raise `WrongContentType` or `TooLarge`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in types:
        raise WrongContentType(CURL_HINT)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_REQUEST:
            raise TooLarge(f"the request is over {MAX_REQUEST} bytes")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def decode(raw: bytes | msgspec.Raw) -> Any:
    """Read JSON; raise `BadRequest` where it is not, or nested too deep."""
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    check_depth(bytes(raw), value)
    return value


def decode_object(raw: bytes | msgspec.Raw) -> Document:
    """Read a JSON object."""
    value = decode(raw)
    if not isinstance(value, dict):
        raise BadRequest(f"the body: expected a JSON object, got {_name(value)}")
    return value


def decode_document(raw: bytes | msgspec.Raw) -> Document:
    """Read a document; raise `TooLarge` over the limit of one document."""
    check_size(raw)
    return decode_object(raw)


def check_size(raw: bytes | msgspec.Raw) -> None:
    """Raise `TooLarge` over the limit of one document."""
    if len(memoryview(raw)) > MAX_DOCUMENT:
        raise TooLarge(f"the document is over {MAX_DOCUMENT} bytes")


def split(raw: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Split a JSON array into its elements, unread; raise `TooLarge` over the limit of documents in a request."""
    try:
        elements = _split(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not a JSON array: {error}") from None
    if len(elements) > MAX_DOCUMENTS:
        raise TooLarge(f"{len(elements)} documents; a request may carry {MAX_DOCUMENTS}")
    return elements


def check_depth(raw: bytes, value: Any) -> None:
    """Raise `BadRequest` where arrays and objects are nested deeper than the limit."""
    # Hardly any document has so many brackets at all; counting them costs next to nothing.
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return
    level = [value]
    for _ in range(MAX_DEPTH):
        children = chain.from_iterable([parent.values() if type(parent) is dict else parent for parent in level])
        # Types are compared, which for a long history costs a quarter of what `isinstance` does.
        level = [child for child in children if type(child) is dict or type(child) is list]
        if not level:
            return
    raise BadRequest(f"the document is nested deeper than {MAX_DEPTH} levels")


def parameters(request: Request, known: Iterable[str]) -> dict[str, str]:
    """Give the query's parameters; raise `BadRequest` for one that is unknown or given twice."""
    if not request.scope["query_string"]:
        return {}
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise BadRequest(f"{name:.80}: is not a parameter of this request; known: {names}")
        if name in given:
            raise BadRequest(f"{name}: is given twice")
        given[name] = value
    return given


def number(given: dict[str, str], name: str, default: int, low: int = 0, high: int = 2**53) -> int:
    """Give a whole number from the query, within bounds."""
    text = given.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or not low <= int(text) <= high:
        raise BadRequest(f"{name}: expected a whole number from {low} to {high}, got {text!r:.80}")
    return int(text)


def flag(given: dict[str, str], name: str, default: bool = False) -> bool:
    """Give a yes or no from the query."""
    text = given.get(name)
    if text not in (None, "true", "false"):
        raise BadRequest(f"{name}: expected true or false, got {text!r:.80}")
    return default if text is None else text == "true"


def _name(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class LoopbackOnly:
    """Answers only requests that a program or a page of this machine meant for this server.

    A server without users trusts whoever reaches it. A page from elsewhere, open in a browser on this machine, reaches
    it too: directly, or by a name of its own that it lets resolve to 127.0.0.1. `Origin` and `Host` betray both.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name == b"host" and _hostname(f"//{value.decode('latin-1')}") not in LOOPBACK:
                    await error_answer(Forbidden("Host: this server answers to localhost only"))(scope, receive, send)
                    return
                if name == b"origin" and _hostname(value.decode("latin-1")) not in LOOPBACK:
                    await error_answer(Forbidden("Origin: pages from elsewhere may not use this server"))(
                        scope, receive, send
                    )
                    return
        await self._app(scope, receive, send)


@lru_cache(maxsize=64)  # hardly any server is asked under more than two
def _hostname(text: str) -> str | None:
    try:
        return urlsplit(text).hostname
    except ValueError:
        return None
