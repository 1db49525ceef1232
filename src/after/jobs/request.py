"""What the job `http` is asked to send: its keywords, checked, and what a redirect makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from yarl import URL

from after.errors import BadRequest, Refusal
from after.jobs.signing import HEADERS

KEEP = 64 * 1024
MAX_KEEP = 256 * 1024
"""Bytes of an answer that a task may keep; its result may have twice as much, as JSON."""
REDIRECTS = 5
MAX_REDIRECTS = 10
MAX_URL = 8 * 1024
FOLLOWED = frozenset({301, 302, 303, 307, 308})
OURS = HEADERS | {
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-authorization",
    "proxy-connection", "te", "trailer", "upgrade", "expect",
}  # fmt: skip
"""Headers that say how a request is sent, or by whom: a task does not set them."""
HARMLESS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Headers that go along when a redirect leads to another origin. Any other may be a secret that was meant for one."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_RANGE = re.compile(r"(?P<hundred>[1-5])xx|(?P<first>[1-5]\d\d)-(?P<last>[1-5]\d\d)")
_TYPES = re.compile(r"\b(?:str|int|float|bool)\b")
_IN_JSON = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


class WrongKeyword(BadRequest):
    """A keyword of the job is wrong; the reason begins with its name."""

    def __init__(self, keyword: str, problem: str) -> None:
        super().__init__(f"{keyword}: {problem}")


class RedirectRefused(Refusal):
    """A redirect leads where the job does not follow."""


class Keywords(Struct, forbid_unknown_fields=True):
    """What a task may say; `null` means the same as absent."""

    url: str
    method: str | None = None
    json: Any = None
    body: str | None = None
    headers: dict[str, str] | None = None
    success: list[int | str] | None = None
    redirects: Annotated[int, Meta(ge=0, le=MAX_REDIRECTS)] | None = None
    keep: Annotated[int, Meta(ge=0, le=MAX_KEEP)] | None = None


class Request(Struct, frozen=True):
    """One request. `own` tells that it still goes to the origin that the task named; `success` holds codes."""

    url: URL
    method: str
    headers: dict[str, str]
    body: bytes | None
    success: frozenset[int]
    redirects: int
    keep: int
    own: bool = True

    def follows(self, status: int, location: str | None) -> bool:
        """Tell whether an answer is a redirect that is to be followed."""
        return self.redirects > 0 and status in FOLLOWED and location is not None and status not in self.success

    def redirected(self, status: int, location: str) -> Request:
        """Give the request that a redirect asks for, as browsers do it; raise `RedirectRefused` where it may not be."""
        try:
            url = _url(location, self.url).with_fragment(None)
        except ValueError as error:
            raise RedirectRefused(f"a redirect of {self.url} leads nowhere: {error}") from None
        if self.url.scheme == "https" and url.scheme != "https":
            raise RedirectRefused(f"a redirect of {self.url} leads from https to {url}")
        method, body, headers = self.method, self.body, self.headers
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        own = self.own and url.origin() == self.url.origin()
        if not own:
            headers = {name: value for name, value in headers.items() if name.lower() in HARMLESS}
        return msgspec.structs.replace(self, url=url, method=method, body=body, headers=headers, own=own)


def request(given: Mapping[str, Any]) -> Request:
    """Give the request that keywords ask for; raise `WrongKeyword`."""
    try:
        asked = msgspec.convert(given, Keywords)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        what = _TYPES.sub(lambda found: _IN_JSON[found[0]], what)
        raise WrongKeyword(path.strip("`."), what[:1].lower() + what[1:]) from None
    try:
        url = _url(asked.url)
    except ValueError as error:
        raise WrongKeyword("url", str(error)) from None
    headers = _headers(asked.headers or {})
    body, kind = _body(asked)
    if kind is not None and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = kind
    return Request(
        url.with_fragment(None), _method(asked.method, body), headers, body, _success(asked.success),
        REDIRECTS if asked.redirects is None else asked.redirects, KEEP if asked.keep is None else asked.keep,
    )  # fmt: skip


def _url(text: str, base: URL | None = None) -> URL:
    """Read a URL, or a reference to one; raise `ValueError` for what is not asked over HTTP."""
    if len(text) > MAX_URL:
        raise ValueError(f"expected at most {MAX_URL} characters, got {len(text)}")
    url = URL(text) if base is None else base.join(URL(text))
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise ValueError(f"expected http:// or https:// and a host, got {text!r:.200}")
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("must not have a name or a password in it; give the header Authorization")
    if not url.port:
        raise ValueError("has no port that can be asked")
    return url


def _method(method: str | None, body: bytes | None) -> str:
    if method is None:
        return "GET" if body is None else "POST"
    if not method.isascii() or not method.isalpha() or method.upper() in ("CONNECT", "TRACE"):
        raise WrongKeyword("method", f"expected GET, POST or another that asks for something, got {method!r:.80}")
    return method.upper()


def _headers(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise WrongKeyword("headers", f"{name!r:.80} is no name of a header")
        if _CONTROL.search(value):
            raise WrongKeyword(f"headers.{name}", "must not contain line breaks or other control characters")
        if name.lower() in OURS:
            raise WrongKeyword(f"headers.{name}", "is set by the worker itself")
    return dict(given)


def _body(asked: Keywords) -> tuple[bytes | None, str | None]:
    """Give the body and its type."""
    if asked.json is not None and asked.body is not None:
        raise WrongKeyword("body", "cannot be given together with json")
    if asked.json is not None:
        return msgspec.json.encode(asked.json), "application/json"
    if asked.body is not None:
        return asked.body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    return None, None


def _success(given: list[int | str] | None) -> frozenset[int]:
    codes: set[int] = set()
    for one in ["2xx"] if given is None else given:
        if isinstance(one, int):
            if not 100 <= one <= 599:
                raise WrongKeyword("success", f"{one} is no status")
            codes.add(one)
            continue
        match = _RANGE.fullmatch(one)
        if match is None:
            raise WrongKeyword("success", f"expected codes such as 201, '2xx' or '200-204', got {one!r:.80}")
        if match["hundred"]:
            codes |= set(range(int(match["hundred"]) * 100, int(match["hundred"]) * 100 + 100))
        else:
            codes |= set(range(int(match["first"]), int(match["last"]) + 1))
    return frozenset(codes)
