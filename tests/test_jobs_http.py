"""The job `http` against real servers: what it sends, what it makes of the answer, how it is signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from calling import Names, Received, caller, failure, leads, result, says, web

from after.clock import SystemClock
from after.errors import AfterError
from after.jobs import TaskContext
from after.jobs.answer import retry_after
from after.jobs.run import run
from after.jobs.signing import Signer, message_id
from after.outcome import MAX_RESULT, of_result
from after.task import Call
from after.testing import TurnableClock

HERE = "127.0.0.1"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(100, 124))).decode()


async def called(server: Any, path: str, **keywords: Any) -> Any:
    async with caller(HERE) as job:
        return await result(job, server.url(path), **keywords)


async def refused(server: Any, path: str, **keywords: Any) -> Any:
    async with caller(HERE) as job:
        return await failure(job, server.url(path), **keywords)


async def test_it_gets_an_answer() -> None:
    with web(hook=says(200, b'{"a": [1]}', Content_Type="application/json", ETag='"x"', Set_Cookie="a=b")) as server:
        found = await called(server, "/hook")
        headers = found.pop("headers")
        assert found == {"status": 200, "url": server.url("/hook"), "body": {"a": [1]}}
        assert {name: headers[name] for name in ("content-type", "content-length", "etag")} == {
            "content-type": "application/json", "content-length": "10", "etag": '"x"',
        }  # fmt: skip
        assert "set-cookie" not in headers
        (received,) = server.received
    assert (received.method, received.body) == ("GET", b"")
    assert received.headers["user-agent"].startswith("After/")
    assert "webhook-signature" not in received.headers


@pytest.mark.parametrize(
    ("keywords", "method", "body", "kind"),
    [
        ({"json": {"a": "ü"}}, "POST", '{"a":"ü"}'.encode(), "application/json"),
        ({"json": False, "method": "put"}, "PUT", b"false", "application/json"),
        ({"body": "ü"}, "POST", "ü".encode(), "text/plain; charset=utf-8"),
        ({"body": "<a/>", "headers": {"content-type": "text/xml"}}, "POST", b"<a/>", "text/xml"),
        ({"method": "DELETE"}, "DELETE", b"", None),
        ({"method": "POST"}, "POST", b"", None),
    ],
)
async def test_it_sends_what_it_is_told(keywords: dict[str, Any], method: str, body: bytes, kind: str | None) -> None:
    with web(hook=says()) as server:
        await called(server, "/hook", **keywords)
        (received,) = server.received
    assert (received.method, received.body, received.headers.get("content-type")) == (method, body, kind)


async def test_it_sends_headers_and_keeps_no_cookies() -> None:
    with web(hook=says(Set_Cookie="a=b")) as server:
        async with caller(HERE) as job:
            for _ in range(2):
                await result(job, server.url("/hook"), headers={"Authorization": "Bearer x", "X-Ü".encode().hex(): "ü"})
        for received in server.received:
            assert received.headers["authorization"] == "Bearer x"
            assert "cookie" not in received.headers


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"url": 5}, "url: expected `string`, got `integer`"),
        ({"url": ""}, "url: expected http:// or https:// and a host"),
        ({"url": "ftp://example.com/"}, "url: expected http:// or https:// and a host"),
        ({"url": "file:///etc/passwd"}, "url: expected http://"),
        ({"url": "http:///x"}, "url: expected http://"),
        ({"url": "/x"}, "url: expected http://"),
        ({"url": "http://name:secret@example.com/"}, "url: must not have a name or a password"),
        ({"url": "http://example.com:99999/"}, "url: "),
        ({"url": "http://example.com:0/"}, "url: has no port"),
        ({"url": "http://x/" + 9000 * "a"}, "url: expected at most 8192 characters"),
        ({"method": "GET /x"}, "method: expected GET"),
        ({"method": "CONNECT"}, "method: expected GET"),
        ({"method": ""}, "method: expected GET"),
        ({"json": 1, "body": "x"}, "body: cannot be given together with json"),
        ({"body": {}}, "body: expected `string | null`, got `object`"),
        ({"headers": []}, "headers: expected `object"),
        ({"headers": {"a": 1}}, "headers[...]: expected `string`"),
        ({"headers": {"a b": "x"}}, "headers: 'a b' is no name"),
        ({"headers": {"a": "x\r\nb: y"}}, "headers.a: must not contain line breaks"),
        ({"headers": {"Host": "x"}}, "headers.Host: is set by the worker"),
        ({"headers": {"Webhook-Signature": "x"}}, "headers.Webhook-Signature: is set by the worker"),
        ({"success": 200}, "success: expected `array"),
        ({"success": ["2x"]}, "success: expected codes such as 201"),
        ({"success": [99]}, "success: 99 is no status"),
        ({"redirects": -1}, "redirects: expected"),
        ({"redirects": True}, "redirects: expected"),
        ({"keep": 10**6}, "keep: expected"),
    ],
)
async def test_a_wrong_keyword_is_named(keywords: dict[str, Any], told: str) -> None:
    async with caller(HERE) as job:
        failed = await failure(job, **{"url": "http://127.0.0.1:1/", **keywords})
    assert (failed.error.type, failed.final) == ("WrongArguments", True)
    assert failed.error.message.startswith(told), failed.error.message


@pytest.mark.parametrize("keywords", [{}, {"url": "http://x/", "verify": False}])
async def test_a_keyword_that_it_does_not_have_is_refused_before_the_call(keywords: dict[str, Any]) -> None:
    async with caller() as job:
        assert "http(url: " in (job.refuses(Call("http", [], keywords)) or "")


@pytest.mark.parametrize(
    ("status", "success", "good"),
    [
        (204, None, True),
        (304, None, False),
        (404, [404], True),
        (200, [404], False),
        (409, ["2xx", 409], True),
        (302, ["3xx"], True),
        (204, ["200-204"], True),
        (205, ["200-204"], False),
        (299, [200, 299], True),
        (250, [200, 299], False),
        (200, [], False),
    ],
)
async def test_success_is_what_the_task_says(status: int, success: Any, good: bool) -> None:
    with web(hook=says(status, Location="/elsewhere")) as server:
        if good:
            assert (await called(server, "/hook", success=success))["status"] == status
        else:
            failed = await refused(server, "/hook", success=success)
            assert (failed.error.type, failed.final) == ("HTTPStatus", True)


@pytest.mark.parametrize(
    ("status", "final"),
    [(400, True), (404, True), (409, True), (408, False), (425, False), (429, False), (500, False), (503, False)],
)
async def test_an_answer_that_may_change_is_tried_again(status: int, final: bool) -> None:
    with web(hook=says(status, b"not\nso\xff" + 10_000 * b"x", Retry_After="7")) as server:
        failed = await refused(server, "/hook")
    assert (failed.error.type, failed.final) == ("HTTPStatus", final)
    assert failed.wait == (None if final else 7000)
    assert f"GET {server.url('/hook')} was answered {status} " in failed.error.message
    assert "not\nso\N{REPLACEMENT CHARACTER}xxx" in failed.error.message
    assert len(failed.error.message) < 700


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", 0),
        (" 120 ", 120_000),
        ("99999999999999999999", 86_400_000),
        ("Wed, 01 Jan 2025 00:01:00 GMT", 60_000),
        ("Wed, 01 Jan 2025 00:01:00", 60_000),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0),
        ("Wed, 01 Jan 2031 00:00:00 GMT", 86_400_000),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Wed, 99 Jan 2025 00:01:00 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_read(text: str | None, wait: int | None) -> None:
    assert retry_after(text, datetime(2025, 1, 1, tzinfo=UTC).timestamp()) == wait


async def test_retry_after_is_a_date_by_the_workers_clock() -> None:
    clock = TurnableClock(1_000_000_000)
    date = format_datetime(datetime.fromtimestamp(1_000_090, UTC), usegmt=True)
    with web(hook=says(503, Retry_After=date)) as server:
        async with caller(HERE, clock=clock) as job:
            assert (await failure(job, server.url("/hook"))).wait == 90_000


async def test_a_long_body_is_cut() -> None:
    with web(hook=says(body=70_000 * b"x"), umlaut=says(body=10 * "ü".encode()), json=says(
        body=b'{"a": 1}', Content_Type="application/json")) as server:  # fmt: skip
        found = await called(server, "/hook")
        assert (found["body"], found["truncated"]) == (65_536 * "x", True)
        assert "truncated" not in await called(server, "/hook", keep=70_000)
        found = await called(server, "/umlaut", keep=3)
        assert (found["body"], found["truncated"]) == ("ü", True)
        assert (await called(server, "/umlaut", keep=20))["body"] == 10 * "ü"
        assert (await called(server, "/json", keep=3))["body"] == '{"a'
        found = await called(server, "/json", keep=0)
        assert (found["body"], found["truncated"]) == ("", True)


@pytest.mark.parametrize(
    ("body", "kind", "kept"),
    [
        (b"\xff\x00", "image/png", base64.b64encode(b"\xff\x00").decode()),
        (b"\xfc", "text/plain; charset=iso-8859-1", "ü"),
        (b"\xc3\xbc", "text/plain; charset=rot13", "ü"),
        (b"\xc3\xbc", "text/plain; charset=punycode", "ü"),
        (b"{", "application/json", "{"),
        (b"[NaN]", "application/json", "[NaN]"),
        (b'"\\ud800"', "application/json", '"\\ud800"'),
        (100 * b"[" + 100 * b"]", "application/json", 100 * "[" + 100 * "]"),
        (b"[1]", "application/problem+json", [1]),
        (b"", "application/json", ""),
    ],
)
async def test_a_body_is_kept_as_what_it_is(body: bytes, kind: str, kept: Any) -> None:
    with web(hook=says(body=body, Content_Type=kind)) as server:
        found = await called(server, "/hook")
    assert found["body"] == kept
    assert found.get("base64", False) == (kind == "image/png")


@pytest.mark.parametrize("body", [b"\x00", b"\xff", b"\xc3\xbc", b"\xe4\xb8\xad", b"[1e9],"])
async def test_the_most_that_can_be_kept_is_a_result(body: bytes) -> None:
    content = b"[" + 24_000 * body + b"1]" if body[:1] == b"[" else (2**18 // len(body)) * body
    with web(hook=says(body=content, Content_Type="application/json" if body[:1] == b"[" else "text/plain")) as server:
        found = await called(server, "/hook", keep=2**18)
    assert "truncated" not in found
    assert of_result(found).result == found  # type: ignore[union-attr]
    assert MAX_RESULT == 512 * 1024


async def test_what_is_compressed_unasked_is_not_unpacked() -> None:
    with web(hook=says(body=b"abc", Content_Encoding="gzip")) as server:
        found = await called(server, "/hook")
        assert (found["body"], found["base64"]) == ("YWJj", True)
        assert server.received[0].headers["accept-encoding"] == "identity"


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Connection", "close")
    request.end_headers()
    while True:
        request.wfile.write(65536 * b"x")


async def test_of_an_endless_body_the_beginning_is_kept() -> None:
    with web(hook=endless) as server:
        found = await called(server, "/hook")
    assert (len(found["body"]), found["truncated"]) == (65_536, True)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a server waits for in the middle of its answer."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_slow_body_ends_with_the_timeout(release: threading.Event) -> None:
    def slow(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "10")
        request.end_headers()
        request.wfile.write(b"x")
        release.wait()

    with web(hook=slow) as server:
        async with caller(HERE) as job:
            assert job.timeout == 30_000
            context = TaskContext({"_id": "one"}, 1, SystemClock(), lambda: None)
            found = await run(job, Call("http", [server.url("/hook")]), context, 0.3)
        release.set()
    assert found.error.type == "Timeout"  # type: ignore[union-attr]
    assert not found.final  # type: ignore[union-attr]


async def test_a_failing_answer_that_never_ends_is_a_failing_answer(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(request: BaseHTTPRequestHandler) -> None:
        request.send_response(503)
        request.send_header("Content-Length", "10")
        request.send_header("Retry-After", "3")
        request.end_headers()
        request.wfile.write(b"busy")
        release.wait()

    monkeypatch.setattr("after.jobs.answer.PATIENCE", 0.3)
    with web(hook=stuck) as server:
        failed = await refused(server, "/hook")
        release.set()
    assert (failed.error.type, failed.wait) == ("HTTPStatus", 3000)
    assert failed.error.message.endswith(": busy")


async def test_an_answer_that_breaks_off_is_tried_again() -> None:
    def breaks(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "10")
        request.end_headers()
        request.wfile.write(b"x")
        request.close_connection = True

    with web(hook=breaks) as server:
        failed = await refused(server, "/hook")
    assert (failed.error.type, failed.final) == ("ClientPayloadError", False)


async def test_what_cannot_be_reached_is_named_and_tried_again() -> None:
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    async with caller(HERE) as job:
        failed = await failure(job, f"http://{HERE}:{port}/")
        assert (failed.error.type, failed.final, failed.error.traceback) == ("ClientConnectorError", False, None)
        assert f"http://{HERE}:{port}/" in failed.error.message
        failed = await failure(job, "http://no-such-host.invalid/")
        assert (failed.error.type, failed.final) == ("ClientConnectorDNSError", False)


async def test_redirects_are_followed_as_browsers_do() -> None:
    answers = {f"from{code}": leads("/to", code) for code in (301, 302, 303, 307, 308)}
    with web(to=says(), **answers) as server:
        for code in (301, 302, 303, 307, 308):
            found = await called(server, f"/from{code}", json=1)
            assert found["url"] == server.url("/to")
            kept = code in (307, 308)
            received = server.received[-1]
            assert (received.method, received.body) == (("POST", b"1") if kept else ("GET", b""))
            assert ("content-type" in received.headers) == kept
        await called(server, "/from302", method="PUT", body="x")
        assert server.received[-1].method == "PUT"


async def test_redirects_come_to_an_end() -> None:
    with web(loop=leads("/loop"), to=says()) as server:
        failed = await refused(server, "/loop")
        assert (failed.error.type, failed.final) == ("TooManyRedirects", True)
        assert len(server.received) == 6
        failed = await refused(server, "/loop", redirects=1)
        assert len(server.received) == 8
        failed = await refused(server, "/loop", redirects=0)
        assert failed.error.type == "HTTPStatus"


@pytest.mark.parametrize(
    "to", ["ftp://127.0.0.1/", "file:///etc/passwd", "javascript:1", "http://a:b@127.0.0.1/", "http://["]
)
async def test_a_redirect_to_what_is_not_asked_over_http_is_refused(to: str) -> None:
    with web(start=leads(to)) as server:
        failed = await refused(server, "/start")
    assert (failed.error.type, failed.final) == ("RedirectRefused", True)


def test_a_redirect_from_https_to_http_is_refused() -> None:
    from after.jobs.request import RedirectRefused, request

    with pytest.raises(RedirectRefused, match=r"leads from https to http://example\.com/"):
        request({"url": "https://example.com/"}).redirected(302, "http://example.com/")
    assert request({"url": "http://example.com/"}).redirected(302, "https://example.com/").url.scheme == "https"


async def test_another_origin_gets_no_secrets() -> None:
    names = Names(one_example=[HERE], two_example=[HERE])
    headers = {"Authorization": "Bearer x", "X-Api-Key": "y", "Cookie": "z", "Accept": "text/html"}
    with web(away=leads(""), back=says()) as second, web(start=leads("/near"), near=leads("")) as first:
        first.answers["/near"] = leads(second.url("/away", "two.example"), 307)
        second.answers["/away"] = leads("/further", 307)
        second.answers["/further"] = leads(first.url("/back", "one.example"), 307)
        first.answers["/back"] = says()
        async with caller(HERE, secrets=SECRET, names=names) as job:
            await result(job, first.url("/start", "one.example"), json=1, method="PUT", headers=headers)
    start, near, back = first.received
    away, further = second.received
    for received in (start, near):
        assert received.headers["authorization"] == "Bearer x"
        assert "webhook-signature" in received.headers
    for received in (away, further, back):  # also where it leads back: who sent it there may know what comes of it
        assert (received.body, received.headers["accept"]) == (b"1", "text/html")
        assert received.headers["content-type"] == "application/json"
        for name in ("authorization", "x-api-key", "cookie", "webhook-signature", "webhook-id"):
            assert name not in received.headers


def verified(received: Received, key: bytes, now: float) -> bool:
    """Verify a request as its receiver does, by the text of the specification."""
    identity, at = received.headers["webhook-id"], received.headers["webhook-timestamp"]
    signed = identity.encode() + b"." + at.encode() + b"." + received.body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = received.headers["webhook-signature"].split(" ")
    assert all(one.startswith("v1,") for one in given)
    return f"v1,{wanted}" in given and abs(now - int(at)) < 300 and "." not in identity


async def test_a_request_is_signed_by_each_secret() -> None:
    clock = TurnableClock(1_700_000_000_900)
    with web(hook=says()) as server:
        async with caller(HERE, secrets=f"{SECRET}, {OTHER}", clock=clock) as job:
            for keywords in ({"json": {"a": "ü"}}, {"body": "x"}, {"method": "POST"}):
                await result(job, server.url("/hook"), {"_id": "a.b/c ü"}, **keywords)
        for received in server.received:
            assert received.headers["webhook-timestamp"] == "1700000000"
            for key in (bytes(range(32)), bytes(range(100, 124))):
                assert verified(received, key, clock.time())
                assert not verified(received._replace(body=received.body + b" "), key, clock.time())
            assert not verified(received, bytes(24), clock.time())


def test_the_example_of_the_specification() -> None:
    """Signed by the libraries of its authors: https://github.com/standard-webhooks/standard-webhooks."""
    headers = Signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_id_of_a_message_is_that_of_its_occurrence() -> None:
    occurrence = {"start": "2026-01-01T00:00:00.000Z", "date": "2026-01-02T00:00:00.000Z", "number": 2}
    assert message_id({"_id": "a", "attempt": 1}) == message_id({"_id": "a", "attempt": 2, "date": "x"}) == "a"
    assert message_id({"_id": "a", "occurrence": occurrence}) == "a@1767312000000"
    assert message_id({"_id": "a.b@\n"}) == "a%2Eb%40%0A"
    assert len(message_id({"_id": 512 * "😀"})) == 64


@pytest.mark.parametrize("secret", ["whsec_", "short", "whsec_c2hvcnQ=", "no base64!", "whsk_" + 44 * "A", 120 * "A"])
def test_what_is_no_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(AfterError) as error:
        Signer(f"{SECRET} {secret}")
    assert "a secret for signing" in str(error.value)
    for shown in (SECRET, secret.removeprefix("whsec_") or "whsec_ "):
        assert shown not in str(error.value)
    assert SECRET.removeprefix("whsec_") not in repr(Signer(SECRET))
