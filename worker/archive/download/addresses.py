"""The addresses from which a file may be downloaded: by default only public ones.

A download URL comes from the API. Without this rule it could point into the private network of the
worker, or at the metadata service of its cloud.
"""

import ipaddress
from typing import Final

from worker.archive.download.name_lookup import AddressInfo, look_up
from worker.archive.errors import SourceDoubtful, SourceUnavailable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

# Python's own list of these depends on its version.
_NOT_PUBLIC_V4: Final = (ipaddress.IPv4Network("192.0.0.0/24"),)
_NOT_PUBLIC_V6: Final = tuple(
    ipaddress.IPv6Network(each)
    for each in (
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
    )
)


async def resolve(host: str, port: int, *, allow_private: bool) -> list[AddressInfo]:
    """The addresses of a host. The caller connects to these and does not resolve the name again.

    Raises SourceDoubtful if one of them is not public, and SourceUnavailable if there is none.
    """
    try:
        found = await look_up(host, port)
    except (OSError, ValueError) as error:  # ValueError: for odd names
        message = f"the address of {host} cannot be found: {error}"
        raise SourceUnavailable("source_unreachable", message) from error
    if not allow_private:
        for info in found:
            check_public(host, str(info[4][0]))
    return found


def check_public(host: str, address: str) -> None:
    """Raise SourceDoubtful unless the address is public."""
    if not is_public(ipaddress.ip_address(address)):
        raise SourceDoubtful(
            "private_address",
            f"{host} has the address {address}, which is not public. "
            "WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES=on permits it",
        )


def literal_address(host: str) -> str | None:
    """The host if it is an address, not a name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def is_public(address: IPAddress) -> bool:
    """Whether everybody on the internet reaches the same host by this address.

    An IPv6 address that contains an IPv4 address is public if that one is.
    """
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _embedded(address)
        if embedded:
            return all(map(is_public, embedded))
        if address.is_site_local or any(address in network for network in _NOT_PUBLIC_V6):
            return False
    elif any(address in network for network in _NOT_PUBLIC_V4):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses in mapped, 6to4, Teredo, NAT64 and compatible addresses."""
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    number = int(address)
    if address in _NAT64 or number < 1 << 32:
        found.append(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return [each for each in found if each is not None]
