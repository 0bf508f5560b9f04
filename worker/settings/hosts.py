"""The hosts of a URL that may name several, as in `user:password@first:5672,second`."""

import re
from typing import Final, NamedTuple

_HOST: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%25?\w+)?)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{0,5}))?",
    re.ASCII,
)


class Host(NamedTuple):
    """A host name or an address without brackets, and the port if there is one."""

    name: str
    port: int | None


def hosts_of(netloc: str) -> tuple[Host, ...]:
    """The hosts between `//` and the path, in order.

    Raises:
        ValueError: a host or a port is not one. The text repeats nothing, because a password with
            a slash in it looks like a host with a port.
    """
    return tuple(map(_host, netloc.rpartition("@")[2].split(",")))


def _host(text: str) -> Host:
    found = _HOST.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65_535:
        raise ValueError("must name hosts as host:port, with commas between them")
    return Host(found["ipv6"] or found["name"], int(found["port"]) if found["port"] else None)
