"""For httpx clients of servers without TLS: to load this machine's authorities takes 30 ms."""

import ssl
from typing import Final

NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no certificate. Pass it as `verify`."""
