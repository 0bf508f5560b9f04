"""Names the setting that may be wrong when the API cannot be used, for operators."""

from typing import Final

from worker.domain.errors import ApiError, NotFound, Unauthorized

_UNUSABLE_ADDRESS: Final = frozenset({"connect_failed", "unreadable_response", "unexpected_status"})
_HINT: Final = "Is {variable} right, or `{field}` in WORKER_APPS_FILE?"


def with_setting_hint(error: ApiError) -> str:
    """The error's text, and the name of the setting from which such an error often comes."""
    if isinstance(error, Unauthorized):
        hint = _HINT.format(variable="REALTIMEKIT_API_TOKEN", field="api_token")
    elif isinstance(error, NotFound) or error.code in _UNUSABLE_ADDRESS:
        hint = _HINT.format(variable="REALTIMEKIT_BASE_URL", field="base_url")
    else:
        return str(error)
    return f"{str(error).rstrip('.')}. {hint}"
