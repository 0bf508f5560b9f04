"""Says which part of AMQP_URL is probably wrong when the broker cannot be reached."""

from collections.abc import Mapping
from typing import Final

from aio_pika.exceptions import AuthenticationError

from worker.domain.tls_faults import TlsFault, tls_fault

_HINTS: Final[Mapping[TlsFault, str]] = {
    "authority": "Name the authority of the broker's certificate as `cafile` in AMQP_URL, or in "
    "SSL_CERT_FILE.",
    "host": "Use a host in AMQP_URL that the broker's certificate names.",
    "period": "Renew the broker's certificate, or set the clock of this machine.",
    "no_tls": "This port does not speak TLS. AMQP_URL needs amqp://, or the port for TLS, "
    "mostly 5671.",
    "client": "The broker refuses the client certificate, or requires one. Check `certfile` and "
    "`keyfile` in AMQP_URL.",
    "files": "`cafile`, `certfile` and `keyfile` in AMQP_URL must be PEM files, and the key must "
    "be that of the certificate.",
}
_CUT_OFF: Final = ("Server connection reset", "Server connection unexpectedly closed")
_MAY_NEED_CLIENT: Final = (
    "If the broker requires a client certificate, check `certfile` and `keyfile` in AMQP_URL."
)
_REFUSED_LOGIN: Final = "Login was refused"
_WRONG_USER: Final = (
    "Check the user in AMQP_URL, and the password or, with `auth=external`, the client certificate."
)
_NEEDS_TLS: Final = "If this port speaks TLS, AMQP_URL needs amqps://."


def described_failure(error: BaseException, *, uses_tls: bool) -> str | None:
    """The error of a connection attempt, with what to do. None if nothing is known about it."""
    if isinstance(error, AuthenticationError) and len(error.args) > 1:
        offered = str(error.args[0])
        return f"RabbitMQ offers {offered}, which does not include `auth` of AMQP_URL"
    hint = _hint(error, uses_tls=uses_tls)
    return hint and f"{str(error).rstrip('.')}. {hint}"


def _hint(error: BaseException, *, uses_tls: bool) -> str | None:
    text = str(error)
    if any(sign in text for sign in _CUT_OFF):  # a reset may overtake the alert of TLS
        return _MAY_NEED_CLIENT if uses_tls else _NEEDS_TLS
    if _REFUSED_LOGIN in text:
        return _WRONG_USER
    if not uses_tls:
        return None
    is_file_error = isinstance(error, FileNotFoundError | PermissionError)
    fault = "files" if is_file_error else tls_fault(text)
    return None if fault is None else _HINTS[fault]
