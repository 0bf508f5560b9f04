"""The address of a request, and the addresses with too many wrong tokens."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp import web

MAX_FAILURES: Final = 10
FAILURE_WINDOW_SECONDS: Final = 60.0
"""This many wrong tokens of one peer are compared in this time. Further ones are refused without
a comparison."""

MAX_PEERS: Final = 1_000
"""At most this many peers are remembered. The one whose last wrong token is oldest is dropped
first."""

_HOME_PREFIX: Final = 64
"""A client with one IPv6 address has all addresses of its /64 network."""

Network = IPv4Network | IPv6Network


class Peers:
    """Finds the address that a request comes from. `trusted_proxies` may name it by a header."""

    def __init__(self, trusted_proxies: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted_proxies)

    def address(self, request: web.Request) -> str:
        """The nearest address that is not a trusted proxy. Only the header of such a proxy
        counts. An IPv4 address in IPv6's form is given as IPv4."""
        address = request.remote or ""
        hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        while hops and self._is_trusted(address):
            hop = hops.pop().strip()
            if not _is_address(hop):
                break
            address = hop
        return str(_plain(address)) if _is_address(address) else address

    def _is_trusted(self, text: str) -> bool:
        if not self._trusted or not _is_address(text):
            return False
        address = _plain(text)
        return any(address in network for network in self._trusted)


class WrongTokens:
    """The wrong tokens of each peer in the last minute."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def are_too_many(self, address: str) -> bool:
        """Whether the peer at this address must wait."""
        times = self._times.get(_peer(address), ())
        now = self._now()
        # A time in the future is from before the clock was set back.
        recent = [time for time in times if now - FAILURE_WINDOW_SECONDS < time <= now]
        return len(recent) == MAX_FAILURES

    def add(self, address: str) -> None:
        """Count one wrong token."""
        peer = _peer(address)
        self._times.setdefault(peer, deque(maxlen=MAX_FAILURES)).append(self._now())
        self._times.move_to_end(peer)
        while len(self._times) > MAX_PEERS:
            self._times.popitem(last=False)


def parse_network(text: str) -> Network:
    """The network of an address or of a network such as 10.0.0.0/8. Raises ValueError."""
    return ip_network(text.strip(), strict=False)


def _peer(address: str) -> str:
    plain = _plain(address) if _is_address(address) else None
    if isinstance(plain, IPv6Address):
        return str(ip_network((plain, _HOME_PREFIX), strict=False))
    return str(plain or address)


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _plain(text: str) -> IPv4Address | IPv6Address:
    """The address, without a zone, and as IPv4 if it is one in IPv6's form."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
