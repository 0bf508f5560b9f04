"""Decides who may read and who may act.

A page of another site must not use the console through the operator's browser. Therefore a request
needs a known Host, which prevents DNS rebinding. An action needs the Origin of this page, which
prevents forged requests. With a token, a session is a random id in a cookie that scripts cannot
read and other sites cannot send.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from worker.console.peers import Peers, WrongTokens
from worker.settings.secret import Secret

COOKIE: Final = "recording_console"
SESSION_SECONDS: Final = 12 * 3600
MAX_SESSIONS: Final = 200


class _Session(NamedTuple):
    until: float
    token_hash: bytes


class Access:
    """The rules for one server.

    `allowed_hosts` are names under which the console may be opened, in addition to `localhost` and
    plain IP addresses, which no other site can point at us. `token` None: no actions. `is_public`:
    other machines can connect, so reading needs the token too. A peer that sends many wrong tokens
    must wait, and no other peer.
    """

    def __init__(
        self,
        *,
        token: Secret | None,
        allowed_hosts: Iterable[str] = (),
        is_public: bool = False,
        peers: Peers | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._token = token
        self._hosts = frozenset(name.lower().rstrip(".") for name in allowed_hosts)
        self._is_public = is_public
        self._now = now
        self._sessions: dict[str, _Session] = {}
        self._peers = peers or Peers()
        self._wrong_tokens = WrongTokens(now)

    @property
    def has_token(self) -> bool:
        """Whether actions are possible at all."""
        return self._token is not None

    def check_request(self, request: web.Request) -> None:
        """Raise an HTTP error for a request that may come from a page of another site."""
        host = _host_name(request.headers.get("Host", ""))
        if not self._is_known(host):
            raise web.HTTPMisdirectedRequest(
                reason="this name is not allowed: start the console with --allowed-host"
            )
        if request.method not in {"GET", "HEAD"} and not self._is_own_page(request):
            raise web.HTTPForbidden(reason="the request does not come from the console's own page")

    def may_read(self, request: web.Request) -> bool:
        """Whether the request may see the state."""
        return not self._is_public or self.may_act(request)

    def may_act(self, request: web.Request) -> bool:
        """Whether the request has the token, or a session that was opened with it."""
        if self._token is None:
            return False
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_right(token.strip(), self.address(request))
        return self._is_session(request.cookies.get(COOKIE, ""))

    def address(self, request: web.Request) -> str:
        """The address that the request comes from."""
        return self._peers.address(request)

    def log_in(self, token: str, *, address: str = "") -> str:
        """The id of a new session, for a browser at this address.

        Raises HTTPForbidden for a wrong token, and HTTPTooManyRequests after many from this
        address.
        """
        if not self._is_right(token, address):
            raise web.HTTPForbidden(reason="this is not the token of WORKER_CONSOLE_TOKEN")
        now = self._now()
        self._sessions = {
            session_id: session
            for session_id, session in self._sessions.items()
            if session.until > now
        }
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session_id = secrets.token_urlsafe(32)
        self._sessions[session_id] = _Session(now + SESSION_SECONDS, self._token_hash())
        structlog.get_logger().info(
            "console_login", address=address, session=session_name(session_id)
        )
        return session_id

    def log_out(self, request: web.Request) -> None:
        """End the request's session."""
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)

    def _is_known(self, host: str) -> bool:
        if host in self._hosts or host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            ip_address(host)
        except ValueError:
            return False
        return True

    def _is_own_page(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        if origin is None:  # a program: its header shows that no browser sent it
            return "Authorization" in request.headers
        return urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()

    def _is_right(self, token: str, address: str) -> bool:
        if self._wrong_tokens.are_too_many(address):
            raise web.HTTPTooManyRequests(
                reason="too many wrong tokens from your address: wait a minute"
            )
        if self._token is not None and hmac.compare_digest(_hash(token), self._token_hash()):
            return True
        self._wrong_tokens.add(address)
        structlog.get_logger().warning("console_token_refused", address=address)
        return False

    def _is_session(self, session_id: str) -> bool:
        session = self._sessions.get(session_id)
        if session is None or session.until <= self._now():
            return False
        # A token that was replaced ends the sessions that it opened.
        return hmac.compare_digest(session.token_hash, self._token_hash())

    def _token_hash(self) -> bytes:
        return _hash(self._token.reveal() if self._token else "")


def session_name(session_id: str) -> str:
    """A session in the log. The id itself would open the console."""
    return hashlib.sha256(session_id.encode()).hexdigest()[:12]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _host_name(host: str) -> str:
    """The name or address of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")
