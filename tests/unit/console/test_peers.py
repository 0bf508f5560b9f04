"""The address of a request's client, and the number of wrong tokens from there."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from worker.console.peers import (
    FAILURE_WINDOW_SECONDS,
    MAX_FAILURES,
    MAX_PEERS,
    Peers,
    WrongTokens,
    parse_network,
)

PROXIES = [parse_network(text) for text in ("10.0.0.0/8", "fd00::/8", "192.0.2.9")]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def request(peer: str | None, *forwarded: str) -> web.Request:
    headers = CIMultiDict([("Host", "x"), *(("X-Forwarded-For", text) for text in forwarded)])
    return make_mocked_request("GET", "/", headers=headers).clone(remote=peer or "")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.7", (), "198.51.100.7"),
        ("198.51.100.7", ("203.0.113.1",), "198.51.100.7"),  # not a trusted proxy
        ("::ffff:198.51.100.7", (), "198.51.100.7"),
        ("10.1.2.3", ("203.0.113.1",), "203.0.113.1"),
        ("10.1.2.3", ("203.0.113.1, 10.9.9.9",), "203.0.113.1"),
        ("10.1.2.3", ("203.0.113.1", "10.9.9.9"), "203.0.113.1"),
        ("10.1.2.3", ("1.1.1.1, 203.0.113.1",), "203.0.113.1"),  # the browser itself wrote 1.1.1.1
        ("192.0.2.9", (" 2001:db8::1 ",), "2001:db8::1"),
        ("::ffff:10.1.2.3", ("203.0.113.1",), "203.0.113.1"),
        ("fd00::1", ("203.0.113.1",), "203.0.113.1"),
        ("10.1.2.3", ("<script>",), "10.1.2.3"),
        ("10.1.2.3", (), "10.1.2.3"),
        ("10.1.2.3", ("10.0.0.1, 10.0.0.2",), "10.0.0.1"),
        (None, ("203.0.113.1",), ""),
    ],
)
def test_only_a_trusted_proxy_names_the_address_of_a_browser(
    peer: str | None, forwarded: tuple[str, ...], address: str
) -> None:
    assert Peers(PROXIES).address(request(peer, *forwarded)) == address


def test_without_trusted_proxies_no_header_counts() -> None:
    assert Peers().address(request("10.1.2.3", "203.0.113.1")) == "10.1.2.3"


@pytest.mark.parametrize("text", ["", "proxy", "10.0.0.0/33", "10.0.0", "::1/129"])
def test_a_text_that_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|at most|not permitted"):
        parse_network(text)


@pytest.mark.parametrize(
    ("first", "second", "are_one"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),  # one home has a /64 network
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "192.0.2.1", False),
    ],
)
def test_wrong_tokens_are_counted_by_peer(first: str, second: str, are_one: bool) -> None:
    wrong = WrongTokens(Clock())
    for _ in range(MAX_FAILURES):
        assert not wrong.are_too_many(first)
        wrong.add(first)

    assert wrong.are_too_many(first)
    assert wrong.are_too_many(second) is are_one


def test_a_peer_has_to_wait_until_its_tenth_last_wrong_token_is_a_minute_old() -> None:
    clock = Clock()
    wrong = WrongTokens(clock)
    for _ in range(MAX_FAILURES):
        wrong.add("192.0.2.1")
        clock.now += 1
    clock.now += FAILURE_WINDOW_SECONDS - MAX_FAILURES - 0.5
    assert wrong.are_too_many("192.0.2.1")
    clock.now += 1
    assert not wrong.are_too_many("192.0.2.1")


def test_no_peer_has_to_wait_until_a_clock_that_was_set_back_has_caught_up() -> None:
    clock = Clock()
    wrong = WrongTokens(clock)
    for _ in range(MAX_FAILURES):
        wrong.add("192.0.2.1")
    clock.now -= 900
    assert not wrong.are_too_many("192.0.2.1")
    for _ in range(MAX_FAILURES):
        wrong.add("192.0.2.1")
    assert wrong.are_too_many("192.0.2.1")


def test_a_bounded_number_of_peers_is_remembered_and_the_oldest_is_forgotten_first() -> None:
    wrong = WrongTokens(Clock())
    for _ in range(MAX_FAILURES):
        wrong.add("192.0.2.1")
        wrong.add("192.0.2.2")
    for number in range(MAX_PEERS - 1):
        wrong.add(f"10.0.{number // 256}.{number % 256}")

    assert not wrong.are_too_many("192.0.2.1")
    assert wrong.are_too_many("192.0.2.2")
