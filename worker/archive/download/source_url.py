"""The URLs from which a file may be downloaded."""

import httpx

from worker.archive.download.addresses import check_public, literal_address
from worker.archive.errors import SourceDoubtful
from worker.domain.hosts import is_possible_host


def parse_source_url(text: str, *, allow_private: bool) -> httpx.URL:
    """The URL of a file. Raises SourceDoubtful, whose text does not repeat the URL.

    Only https is allowed, with `allow_private` also http.
    """
    try:
        url = httpx.URL(text)
        host = url.host  # it decodes IDNA, which can fail
    except (httpx.InvalidURL, TypeError, ValueError):
        raise _refused("it cannot be parsed") from None
    schemes = {"https", "http"} if allow_private else {"https"}
    if url.scheme not in schemes:
        hint = "" if allow_private else ". WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES=on permits http too"
        raise _refused(f"its scheme is not {' or '.join(sorted(schemes))}{hint}")
    if url.userinfo:
        raise _refused("it has a user name or a password")
    port = 443 if url.port is None else url.port
    if not host or not is_possible_host(host) or not 0 < port < 65_536:
        raise _refused("its host or its port cannot exist")
    if not allow_private and (address := literal_address(host)):
        check_public(host, address)
    return url.copy_with(fragment=None)


def shown(url: httpx.URL) -> str:
    """The URL for messages: without its query, which is a permission."""
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return f"{url.scheme}://{url.netloc.decode('ascii')}{path}"


def _refused(why: str) -> SourceDoubtful:
    return SourceDoubtful("source_url_refused", f"the download URL is refused: {why}")
