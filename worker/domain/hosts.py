"""URLs that may name several hosts, as in `amqp://user:password@first:5672,second/vhost`.

Python's own `urlsplit` refuses some of them: an IPv6 address behind another host, for example.
"""

import re
from typing import Final, NamedTuple

_HOST: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%25?\w+)?)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{0,5}))?",
    re.ASCII,
)


_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<netloc>[^/?#]*)(?P<rest>.*)", re.ASCII | re.DOTALL
)


class Host(NamedTuple):
    """A host name or an address without brackets, and the port if there is one."""

    name: str
    port: int | None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


class HostsUrl(NamedTuple):
    """The parts of such a URL, unchanged.

    `user_info` is the text before the last `@`, None without one. `hosts_text` has the hosts, and
    `rest` path, query and fragment.
    """

    scheme: str
    user_info: str | None
    hosts_text: str
    rest: str

    @property
    def password(self) -> str | None:
        """The percent-encoded password."""
        _, colon, password = (self.user_info or "").partition(":")
        return password if colon else None

    @property
    def query(self) -> str:
        """The query: the text behind `?`."""
        return self.rest.partition("#")[0].partition("?")[2]

    @property
    def has_valid_hosts(self) -> bool:
        """Whether each host and each port is possible."""
        try:
            hosts_of(self.hosts_text)
        except ValueError:
            return False
        return True

    def with_host(self, host: str) -> str:
        """The URL with this host instead of all."""
        before = "" if self.user_info is None else f"{self.user_info}@"
        return f"{self.scheme}://{before}{host}{self.rest}"


def split_hosts_url(text: str) -> HostsUrl | None:
    """The parts of a URL. None for a text without `://`."""
    found = _URL.fullmatch(text)
    if found is None:
        return None
    user_info, at, hosts_text = found["netloc"].rpartition("@")
    return HostsUrl(found["scheme"].lower(), user_info if at else None, hosts_text, found["rest"])


def url_of_each_host(text: str) -> tuple[str, ...]:
    """One URL for each host that the text names, in its order. Raises ValueError."""
    parts = split_hosts_url(text)
    if parts is None:
        raise ValueError("must be a URL")
    return tuple(parts.with_host(str(host)) for host in hosts_of(parts.hosts_text))


def hosts_of(netloc: str) -> tuple[Host, ...]:
    """The hosts between `//` and the path, in order. User and password before `@` are skipped.

    Raises ValueError for an impossible host or port. Its text does not repeat `netloc`, because a
    password with a slash in it looks like a host with a port.
    """
    return tuple(map(_host, netloc.rpartition("@")[2].split(",")))


def _host(text: str) -> Host:
    found = _HOST.fullmatch(text)
    if found is None or not 1 <= int(found["port"] or 1) <= 65_535:
        raise ValueError("must name hosts as host:port, with commas between them")
    return Host(found["ipv6"] or found["name"], int(found["port"]) if found["port"] else None)


IMPOSSIBLE_HOST: Final = (
    "must name hosts that can exist: no space, no empty part between dots, none above 63 characters"
)


def is_possible_host(name: str) -> bool:
    """Whether the name of a host, or an address, can be resolved without an error in its form."""
    labels = name.removesuffix(".").split(".")
    has_length = len(name) <= 253 and all(1 <= len(label) <= 63 for label in labels)
    return has_length and name.isprintable() and " " not in name
