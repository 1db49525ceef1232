"""What the job `http` may connect to: public addresses and what the operator allows, whatever way leads there."""

from __future__ import annotations

import ipaddress
import socket

import aiohttp
import pytest
from calling import Names, caller, failure, leads, result, says, web

from after.errors import AfterError
from after.jobs.addresses import Guard, is_public, rule
from after.outcome import FailedAs

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "172.32.0.1",
    "2606:4700::1111",
    "64:ff9b::808:808",
    "2002:808:808::1",
]
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.9", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "233.252.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "100::1", "2001:db8::1", "3fff::1", "5f00::1", "2001::1", "2001:0:808:808::1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:101::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    Guard().judge("example.com", address, 443)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_all_others_are_refused(address: str) -> None:
    # An IPv4 address that is mapped into IPv6 is judged as what it is, so ::ffff:8.8.8.8 is connected to.
    assert not is_public(ipaddress.ip_address(address))
    if address != "::ffff:8.8.8.8":
        with pytest.raises(FailedAs, match="not a public address") as error:
            Guard().judge("example.com", address, 443)
        assert error.value.failure.error.type == "AddressRefused"
        assert error.value.failure.final
        for told in ("example.com", address.removeprefix("::ffff:"), "--http-allow example.com:443"):
            assert told in str(error.value)


RULES = {
    "127.0.0.1": ["127.0.0.1:80", "127.0.0.1:8080", "::ffff:127.0.0.1:80"],
    "127.0.0.1:8080": ["127.0.0.1:8080"],
    "10.0.0.0/8": ["10.1.2.3:80", "10.1.2.3:443"],
    "10.0.0.0/8:443": ["10.1.2.3:443"],
    "::1": ["::1:80", "::1:8080"],
    "[::1]:8080": ["::1:8080"],
    "[::1]": ["::1:80", "::1:8080"],
    "fd00::/8": ["fd00::1:80", "fd00::1:443"],
    "[fd00::/8]:443": ["fd00::1:443"],
}
ASKED = sorted({one for allowed in RULES.values() for one in allowed} | {"127.0.0.2:80", "11.0.0.1:80"})


@pytest.mark.parametrize("text", RULES)
def test_a_rule_allows_what_it_says_and_no_more(text: str) -> None:
    guard, allowed = Guard([text]), []
    for asked in ASKED:
        address, _, port = asked.rpartition(":")
        try:
            guard.judge(address, address, int(port))
        except FailedAs:
            continue
        allowed.append(asked)
    public = {"11.0.0.1:80"}
    assert set(allowed) - public == set(RULES[text])


@pytest.mark.parametrize("text", ["Internal.Example.com", "internal.example.com:8080", "internal.example.com."])
def test_a_host_rule_allows_what_the_host_resolves_to(text: str) -> None:
    guard = Guard([text])
    guard.judge("INTERNAL.example.com.", "10.0.0.1", 8080)
    for host, address in (("example.com", "10.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("xinternal.example.com", "::1")):
        with pytest.raises(FailedAs):
            guard.judge(host, address, 8080)


@pytest.mark.parametrize(
    "text",
    ["", "*", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1:0", "127.0.0.1:65536", "a b", "http://x", "[::1", "x:y", "-x",
     "[x]", "*.example.com", "::1:80:x"],
)  # fmt: skip
def test_what_is_no_rule_is_said(text: str) -> None:
    with pytest.raises(AfterError, match=r"is no (address|port)"):
        rule(text)


HOSTS = [
    "127.0.0.1", "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "[::]", "0.0.0.0", "2130706433", "127.1",
    "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "127.0.0.1.", "169.254.169.254", "[fe80::1]", "0", "127.0.1",
    "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_no_way_to_write_an_address_leads_to_it(host: str) -> None:
    with web(there=says()) as server:
        async with caller() as job:
            failed = await failure(job, server.url("/there", host))
        assert (failed.error.type, failed.final) == ("AddressRefused", True), failed
        assert server.received == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.0.0.1,127.0.0.2", "64:ff9b::7f00:1"])
async def test_a_name_that_resolves_to_it_is_refused(address: str) -> None:
    with web(there=says()) as server:
        async with caller(names=Names(evil_example=[address])) as job:
            failed = await failure(job, server.url("/there", "evil.example"))
    assert failed.error.type == "AddressRefused"
    assert "evil.example is " in failed.error.message
    assert server.received == []


async def test_of_a_names_addresses_only_the_allowed_are_connected_to() -> None:
    names = Names(both_example=["127.0.0.2,127.0.0.1,10.0.0.1"])
    with web(there=says()) as server:
        async with caller("127.0.0.1", names=names) as job:
            await result(job, server.url("/there", "both.example"))
        assert [one.to for one in server.received] == ["127.0.0.1"]


async def test_a_redirect_to_it_is_refused() -> None:
    with web(there=says()) as inner, web(start=leads(inner.url("/there"))) as outer:
        async with caller(f"127.0.0.1:{outer.port}") as job:
            failed = await failure(job, outer.url("/start"))
        assert failed.error.type == "AddressRefused"
        assert f"--http-allow 127.0.0.1:{inner.port}" in failed.error.message
        assert (len(outer.received), len(inner.received)) == (1, 0)


async def test_a_name_that_changes_its_address_is_judged_each_time_and_connected_to_as_judged() -> None:
    """127.0.0.1 stands for a public address here, 127.0.0.2 for one that is not."""
    names = Names(rebinding_example=["127.0.0.1", "127.0.0.2"])
    with web(start=leads("/there"), there=says()) as server:
        async with caller("127.0.0.1", names=names) as job:
            failed = await failure(job, server.url("/start", "rebinding.example"))
        assert failed.error.type == "AddressRefused"
        assert [(one.path, one.to) for one in server.received] == [("/start", "127.0.0.1")]
        assert names.asked == ["rebinding.example"] * 2


async def test_a_name_is_resolved_once_for_a_connection() -> None:
    names = Names(rebinding_example=["127.0.0.1", "127.0.0.2"])
    with web(there=says()) as server:
        async with caller("127.0.0.1", names=names) as job:
            await result(job, server.url("/there", "rebinding.example"))
        assert [one.to for one in server.received] == ["127.0.0.1"]
        assert names.asked == ["rebinding.example"]


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.0/8", "localhost", "inner.example"])
async def test_what_is_allowed_is_called(allowed: str) -> None:
    host = allowed if allowed[0].isalpha() else "127.0.0.1"
    names = Names(localhost=["127.0.0.1"], inner_example=["127.0.0.1"])
    with web(there=says(body=b"hello")) as server:
        async with caller(f"{allowed}:{server.port}", names=names) as job:
            assert (await result(job, server.url("/there", host)))["body"] == "hello"
            other = "evil.example"
            names.names[other] = ["127.0.0.1"]
            if host != "127.0.0.1":
                assert (await failure(job, server.url("/there", other))).error.type == "AddressRefused"


async def test_the_last_door_judges_what_no_resolver_has_seen() -> None:
    with web(there=says()) as server:
        connector = aiohttp.TCPConnector(socket_factory=Guard().open)
        async with aiohttp.ClientSession(connector=connector) as session:
            for host in ("127.0.0.1", "localhost"):
                with pytest.raises(FailedAs, match=r"127\.0\.0\.1 is not a public address|::1 is not"):
                    await session.get(server.url("/there", host))
        assert server.received == []
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.1", 80))
    with pytest.raises(FailedAs, match="in a form that is not used"):
        Guard().open(info)
