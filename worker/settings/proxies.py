"""Chooses the proxy for a URL by HTTPS_PROXY, ALL_PROXY and NO_PROXY."""

import ipaddress
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from worker.domain.hosts import IMPOSSIBLE_HOST, hosts_of, is_possible_host
from worker.settings.secret import Secret

PROXY_VARIABLES: Final = ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_SYNTAX: Final = "must be http://host:port or https://host:port, with user:password@ if need be"


def with_upper_case_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, in which the lower-case spelling of a proxy variable counts first."""
    spelt_lower = {name: environ.get(name.lower()) for name in PROXY_VARIABLES}
    return {**environ, **{name: value for name, value in spelt_lower.items() if value}}


def proxy_url(text: str) -> Secret:
    """Parse the URL of a proxy, which may have a password. Without a scheme it is http."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        (host,) = hosts_of(parts.netloc)
    except ValueError:
        raise ValueError(_SYNTAX) from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"{_SYNTAX}; proxies of other kinds are not supported")
    if not host.name or parts.path.strip("/") or parts.query:
        raise ValueError(_SYNTAX)
    if not is_possible_host(host.name):
        raise ValueError(IMPOSSIBLE_HOST)
    return Secret(url)


class ProxyChoice(NamedTuple):
    """The proxy for a URL, or None for a direct connection, and the variable that decides."""

    proxy: Secret | None
    variable: str | None


class Proxies(msgspec.Struct, frozen=True, kw_only=True):
    """The proxies of the environment. By default all connections are direct.

    `exceptions` are hosts separated by commas, as in NO_PROXY. Each is a host name, which includes
    all names below it, an address, or a network of addresses; a port may follow. `*` stands for
    all.
    """

    https: Secret | None = None
    all: Secret | None = None
    exceptions: str = ""

    def choose(self, url: str) -> ProxyChoice:
        """The proxy for an http or https URL."""
        parts = urlsplit(url)
        name, proxy = ("HTTPS_PROXY", self.https) if parts.scheme == "https" else ("", None)
        if proxy is None:
            name, proxy = "ALL_PROXY", self.all
        if proxy is None:
            return ProxyChoice(None, None)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        if any(_covers(entry.strip(), parts.hostname or "", port) for entry in self._entries()):
            return ProxyChoice(None, "NO_PROXY")
        return ProxyChoice(proxy, name)

    def _entries(self) -> list[str]:
        return self.exceptions.replace(" ", ",").split(",")


NO_PROXIES: Final = Proxies()


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY matches this host and port."""
    if not entry or entry == "*":
        return entry == "*"
    if (network := _network(entry)) is not None:
        address = _network(host)
        return (
            address is not None
            and address.version == network.version
            and network.supernet_of(address)  # type: ignore[arg-type]  # of one version
        )
    try:
        (named,) = hosts_of(entry)
    except ValueError:
        return False
    if named.port not in (None, port):
        return False
    name, host = named.name.lower().strip("."), host.lower().rstrip(".")
    return host == name or host.endswith(f".{name.removeprefix('*.')}")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
