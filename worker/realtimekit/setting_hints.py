"""Names the setting that may be wrong when the API cannot be used, for operators."""

from typing import Final

from worker.domain.errors import ApiError, NotFound, Unauthorized
from worker.domain.tls_faults import tls_fault
from worker.realtimekit.http.protocol import NO_HTTP_RESPONSE

_UNUSABLE_ADDRESS: Final = frozenset({"connect_failed", "unreadable_response", "unexpected_status"})
_HINT: Final = "Is {variable} right, or `{field}` in WORKER_APPS_FILE?"
_AUTHORITY_HINT: Final = "Does SSL_CERT_FILE name the authority of this certificate?"
_PERIOD_HINT: Final = "Is this certificate renewed, and is the clock of this machine right?"
_PROXY_HINT: Final = "Is HTTPS_PROXY right, or ALL_PROXY?"
_BY_PROXY: Final = "through the proxy"


def with_setting_hint(error: ApiError) -> str:
    """The error's text, and the name of the setting from which such an error often comes."""
    hint = _hint(error)
    return str(error) if hint is None else f"{str(error).rstrip('.')}. {hint}"


def _hint(error: ApiError) -> str | None:
    if isinstance(error, Unauthorized):
        return _HINT.format(variable="REALTIMEKIT_API_TOKEN", field="api_token")
    is_no_http = NO_HTTP_RESPONSE in str(error)  # the port of another service
    if not (isinstance(error, NotFound) or error.code in _UNUSABLE_ADDRESS or is_no_http):
        return None
    match tls_fault(str(error)):
        case "authority":
            return _AUTHORITY_HINT
        case "period":
            return _PERIOD_HINT
        case _ if _BY_PROXY in str(error):
            return _PROXY_HINT
        case _:
            return _HINT.format(variable="REALTIMEKIT_BASE_URL", field="base_url")
