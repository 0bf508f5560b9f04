"""The hosts and the user of AMQP_URL, which may name several hosts."""

from typing import Final

from yarl import URL

from worker.domain.hosts import Host, url_of_each_host

HEARTBEAT_SECONDS: Final = 10
"""The heartbeat if AMQP_URL has none. The worker notices a silent broker after about 35 seconds, a
little over three heartbeats."""

PORTS: Final = {"amqp": 5672, "amqps": 5671}


def urls_of(text: str) -> tuple[URL, ...]:
    """A URL for each host, in order, with our heartbeat unless the text has one.

    The library's own heartbeat is six times longer.
    """
    return tuple(_with_heartbeat(URL(url)) for url in url_of_each_host(text))


def _with_heartbeat(url: URL) -> URL:
    return url if "heartbeat" in url.query else url.update_query(heartbeat=HEARTBEAT_SECONDS)


def host_of(url: URL) -> str:
    """The host and the port, without user and password."""
    return str(Host(url.host or "", url.explicit_port or PORTS.get(url.scheme)))


def user_of(url: URL) -> str | None:
    """The user that the URL names. None if the broker finds the user in a certificate."""
    is_external = url.query.get("auth", "plain").upper() == "EXTERNAL"
    return None if is_external else url.user or "guest"
