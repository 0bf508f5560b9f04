"""Follows SSL_CERT_FILE, so that an authority can be replaced without a restart."""

import os
import ssl
from functools import lru_cache
from pathlib import Path

import httpx
import structlog


def tls_context() -> ssl.SSLContext:
    """The context for a new HTTPS connection. Its server's name is given with the connection.

    The authorities are those of SSL_CERT_FILE, else of SSL_CERT_DIR, else of the package certifi.
    """
    return trusted_authorities().current()


@lru_cache(maxsize=1)
def trusted_authorities() -> "TrustedAuthorities":
    """Those of all HTTPS connections of this process."""
    return TrustedAuthorities()


class TrustedAuthorities:
    """One context for all connections, because it holds every certificate authority."""

    def __init__(self) -> None:
        name = os.environ.get("SSL_CERT_FILE")
        self._file = Path(name) if name else None
        self._version = self._current_version()
        self._damaged_version: tuple[int, int, int] | None = None
        self._context = _new_context()  # after the look at the version, so that no change is missed

    def current(self) -> ssl.SSLContext:
        """The context for a new connection.

        If SSL_CERT_FILE has changed, the context trusts the authorities of the new file, too.
        Authorities that the file does not name any more stay trusted: connections share the
        context, so it cannot be replaced. While the file cannot be read, nothing changes.
        """
        version = self._current_version()
        if self._file is None or version in {None, self._version}:
            return self._context
        try:
            self._context.load_verify_locations(self._file)
        except (OSError, ssl.SSLError) as error:
            if version != self._damaged_version:
                reason = f"SSL_CERT_FILE: {error}"
                structlog.get_logger().warning("authorities_not_read", reason=reason)
            self._damaged_version = version
        else:
            self._version = version
        return self._context

    def _current_version(self) -> tuple[int, int, int] | None:
        """What differs when the file was written or replaced. None if there is no file."""
        if self._file is None:
            return None
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def _new_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
