"""Turns aiohttp's reports about failed requests into the worker's own log lines."""

import logging
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import structlog
from aiohttp import http_exceptions

from worker.observability.rare_log import RareLog

MAX_REASON_LENGTH: Final = 200


class RequestErrorLog(logging.Logger):
    """The logger to give to aiohttp's server.

    A malformed request is the sender's fault, so it is one line without a traceback,
    `http_request_malformed`. Any other exception is our fault and keeps its traceback.
    """

    def __init__(self) -> None:
        super().__init__("http_server", logging.DEBUG)
        self._malformed = RareLog("http_request_malformed")

    def exception(self, msg: object, *args: object, exc_info: Any = True, **_: Any) -> None:  # noqa: ANN401 - as the base class
        """Log the exception in `exc_info`."""
        address = _address(str(args[0])) if args else None
        if isinstance(exc_info, http_exceptions.HttpProcessingError):
            self._malformed.info(reason=_reason(exc_info), address=address)
        else:
            structlog.get_logger().error("http_request_failed", address=address, exc_info=exc_info)

    def debug(self, msg: object, *args: object, exc_info: Any = None, **_: Any) -> None:  # noqa: ANN401 - as the base class
        """Log a malformed request line, which aiohttp reports here. Drop everything else."""
        if isinstance(exc_info, http_exceptions.HttpProcessingError):
            self.exception(msg, *args, exc_info=exc_info)


def _address(client: str) -> str:
    """The address. A server of both protocols shows IPv4 in the form of IPv6."""
    try:
        address = ip_address(client)
    except ValueError:  # it has no address, or one with a zone
        return client
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _reason(error: http_exceptions.HttpProcessingError) -> str:
    # The first line only: the lines after it repeat bytes of the request.
    first_line = error.message.partition("\n")[0].strip().rstrip(":")
    return f"{type(error).__name__}: {first_line}"[:MAX_REASON_LENGTH]
