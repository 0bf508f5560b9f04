"""Who may use the console: hosts, origins, tokens and sessions."""

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from worker.console.access import (
    COOKIE,
    MAX_SESSIONS,
    SESSION_SECONDS,
    Access,
)
from worker.console.peers import FAILURE_WINDOW_SECONDS, MAX_FAILURES
from worker.settings.secret import Secret

TOKEN = "a-token-of-the-console"  # noqa: S105 - of this test


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def request(method: str = "GET", host: str = "127.0.0.1:8090", **headers: str) -> web.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request(method, "/api/now", headers={"Host": host, **named})


def access(clock: Clock | None = None, token: str | None = TOKEN, **options: object) -> Access:
    secret = None if token is None else Secret(token)
    return Access(token=secret, now=clock or Clock(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8090", "localhost", "LOCALHOST:1", "[::1]:8090", "10.1.2.3", "console.example.com"],
)
def test_an_address_localhost_or_an_allowed_name_opens_the_console(host: str) -> None:
    access(allowed_hosts=["Console.example.com"]).check_request(request(host=host))


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "console.example.com.evil.example:80"]
)
def test_a_name_that_another_site_could_point_at_us_is_refused(host: str) -> None:
    with pytest.raises(web.HTTPMisdirectedRequest):
        access(allowed_hosts=["console.example.com"]).check_request(request(host=host))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", ""])
def test_a_change_from_a_page_of_another_origin_is_refused(origin: str) -> None:
    with pytest.raises(web.HTTPForbidden):
        access().check_request(request("POST", Origin=origin))


def test_a_change_needs_the_origin_of_the_console_or_a_header_that_no_form_sends() -> None:
    own = access()
    own.check_request(request("POST", Origin="http://127.0.0.1:8090"))
    own.check_request(request("POST", Authorization=f"Bearer {TOKEN}"))
    with pytest.raises(web.HTTPForbidden):
        own.check_request(request("POST"))


def test_without_a_token_everybody_here_may_read_and_nobody_may_act() -> None:
    own = access(token=None)
    assert own.may_read(request())
    assert not own.may_act(request(Authorization="Bearer "))
    assert not own.may_act(request(Cookie=f"{COOKIE}="))
    with pytest.raises(web.HTTPForbidden):
        own.log_in("")


def test_other_machines_need_the_token_to_read() -> None:
    own = access(is_public=True)
    assert not own.may_read(request())
    assert own.may_read(request(Authorization=f"Bearer {TOKEN}"))
    assert not own.may_read(request(Authorization=f"Basic {TOKEN}"))


def test_a_session_lasts_its_time_and_not_longer_and_ends_at_the_log_out() -> None:
    clock = Clock()
    own = access(clock)
    first, second = own.log_in(TOKEN), own.log_in(TOKEN)
    assert first != second
    assert own.may_act(request(Cookie=f"{COOKIE}={first}"))
    own.log_out(request(Cookie=f"{COOKIE}={first}"))
    assert not own.may_act(request(Cookie=f"{COOKIE}={first}"))
    clock.now += SESSION_SECONDS
    assert not own.may_act(request(Cookie=f"{COOKIE}={second}"))


def test_a_token_that_is_replaced_ends_the_sessions_that_it_opened(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    clock = Clock()
    secret = Secret.from_file(file, now=clock)
    own = Access(token=secret, now=clock)
    session = own.log_in(TOKEN)
    file.write_text("another-token-of-the-console")
    clock.now += 5
    assert not own.may_act(request(Cookie=f"{COOKIE}={session}"))


def fail(own: Access, address: str, times: int = MAX_FAILURES) -> None:
    for _ in range(times):
        with pytest.raises(web.HTTPForbidden):
            own.log_in("wrong", address=address)


def test_a_peer_with_many_wrong_tokens_must_wait_even_with_the_right_one() -> None:
    clock = Clock()
    own = access(clock)
    fail(own, "192.0.2.1")
    with pytest.raises(web.HTTPTooManyRequests):
        own.log_in(TOKEN, address="192.0.2.1")
    clock.now += FAILURE_WINDOW_SECONDS + 1
    assert own.log_in(TOKEN, address="192.0.2.1")


def test_nobody_is_refused_because_of_the_wrong_tokens_of_others() -> None:
    own = access()
    for number in range(100):
        fail(own, f"192.0.2.{number}")
    assert own.log_in(TOKEN, address="192.0.2.200")
    assert own.may_act(request(Authorization=f"Bearer {TOKEN}"))


def test_ten_wrong_tokens_in_more_than_a_minute_are_not_too_many() -> None:
    clock = Clock()
    own = access(clock)
    for _ in range(3 * MAX_FAILURES):
        fail(own, "192.0.2.1", times=1)
        clock.now += FAILURE_WINDOW_SECONDS / (MAX_FAILURES - 1)
    assert own.log_in(TOKEN, address="192.0.2.1")


def test_the_number_of_sessions_is_bounded_and_the_oldest_goes_first() -> None:
    own = access()
    first, *_, last = [own.log_in(TOKEN) for _ in range(MAX_SESSIONS + 1)]
    assert not own.may_act(request(Cookie=f"{COOKIE}={first}"))
    assert own.may_act(request(Cookie=f"{COOKIE}={last}"))


def test_each_log_in_and_each_wrong_token_leaves_a_line_without_token_or_session_id() -> None:
    own = access()
    with capture_logs() as lines:
        session = own.log_in(TOKEN, address="192.0.2.7")
        with pytest.raises(web.HTTPForbidden):
            own.log_in("a-guess", address="192.0.2.8")
        assert not own.may_act(request(Authorization="Bearer another-guess"))

    assert [line["event"] for line in lines] == [
        "console_login",
        "console_token_refused",
        "console_token_refused",
    ]
    assert [line["address"] for line in lines[:2]] == ["192.0.2.7", "192.0.2.8"]
    for secret in (TOKEN, session, "guess"):
        assert secret not in str(lines)
