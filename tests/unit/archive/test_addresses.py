"""Which addresses a file may be downloaded from."""

import ipaddress
import socket
import threading
from typing import Any

import pytest

from worker.archive.download.addresses import is_public, resolve
from worker.archive.download.name_lookup import MAX_LOOKUPS
from worker.archive.errors import SourceDoubtful, SourceUnavailable

PUBLIC = ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
PRIVATE = [
    "0.0.0.0",  # noqa: S104 - an address that must be refused
    "10.1.2.3",
    "100.64.0.1",  # carrier-grade NAT
    "100.127.255.254",
    "127.0.0.1",
    "127.8.9.10",
    "169.254.169.254",  # metadata service
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo of a private address
    "2001:db8::1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata service
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_read_from(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_may_not(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "::1"])
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises((SourceDoubtful, SourceUnavailable)):
        await resolve(host, 443, allow_private=False)


async def test_one_private_address_among_public_ones_makes_a_host_private(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer_lookups(monkeypatch, ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(SourceDoubtful, match=r"private_address: .* 10\.0\.0\.1"):
        await resolve("files.example.com", 443, allow_private=False)


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "169.254.169.254"])
async def test_a_private_address_that_is_the_host_itself_is_refused(host: str) -> None:
    with pytest.raises(SourceDoubtful, match="private_address"):
        await resolve(host, 443, allow_private=False)


async def test_private_addresses_may_be_read_from_if_the_setting_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer_lookups(monkeypatch, ["10.0.0.1"])
    assert len(await resolve("files.example.com", 443, allow_private=True)) == 1


async def test_a_host_without_an_address_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(SourceUnavailable, match=r"files\.example\.com"):
        await resolve("files.example.com", 443, allow_private=False)


def answer_lookups(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    def found(_: str, port: int, **__: Any) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", found)


async def test_look_ups_that_got_no_thread_do_not_prevent_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limit:
        limit.setattr(threading.Thread, "start", refuse)
        for _ in range(MAX_LOOKUPS):
            with pytest.raises(SourceUnavailable, match="start new thread"):
                await resolve("127.0.0.1", 443, allow_private=True)
    assert await resolve("127.0.0.1", 443, allow_private=True)
