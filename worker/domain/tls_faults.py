"""Recognises by OpenSSL's words why a TLS connection was not opened. Pure."""

from typing import Final, Literal

TlsFault = Literal["authority", "host", "period", "no_tls", "client", "files"]
"""authority  no trusted authority signed the server's certificate
host       the certificate is that of another host
period     the certificate has expired, or is not valid yet
no_tls     the server does not speak TLS on this port
client     the server refuses the client's certificate, or misses it
files      the client's own files are missing, are no PEM files, or do not belong together
"""

_SIGNS: Final[tuple[tuple[str, TlsFault], ...]] = (
    ("Hostname mismatch", "host"),
    ("IP address mismatch", "host"),
    ("certificate has expired", "period"),
    ("certificate is not yet valid", "period"),
    ("CERTIFICATE_VERIFY_FAILED", "authority"),
    ("WRONG_VERSION_NUMBER", "no_tls"),
    ("ALERT_UNKNOWN_CA", "client"),
    ("ALERT_BAD_CERTIFICATE", "client"),
    ("ALERT_CERTIFICATE", "client"),
    ("HANDSHAKE_FAILURE", "client"),
    ("PEM lib", "files"),
    ("KEY_VALUES_MISMATCH", "files"),
    ("NO_CERTIFICATE_OR_CRL_FOUND", "files"),
)
"""The first sign that is in the text counts."""


def tls_fault(text: str) -> TlsFault | None:
    """Why TLS failed, from the text of the error. None if the text names none of these faults."""
    return next((fault for sign, fault in _SIGNS if sign in text), None)
