"""Removes from every response the secrets that the worker has sent to the API."""

from typing import Any

import msgspec

from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.models import ApiRequest, RecordingPage, UnknownStatusHook
from worker.realtimekit.redaction import SentSecrets, redact_snapshot
from worker.realtimekit.request_headers import RequestHeaders


class ResponseRedactor:
    """Redacts the API's texts: the token and all secrets of earlier requests are replaced.

    `on_unknown_status` is called for each recording whose status is unknown.
    """

    def __init__(self, headers: RequestHeaders, on_unknown_status: UnknownStatusHook) -> None:
        self._headers = headers
        self._on_unknown_status = on_unknown_status
        self._sent_secrets = SentSecrets()

    def remember(self, secrets: tuple[str, ...]) -> None:
        """Redact these secrets from now on. Call it before the request that sends them."""
        self._sent_secrets.add(secrets)

    def receive(self, snapshot: RecordingSnapshot) -> RecordingSnapshot:
        """The snapshot without secrets, and with texts of bounded length."""
        if snapshot.unknown_status is not None:
            self._on_unknown_status()
        elif snapshot.error_message is None:
            return snapshot
        return redact_snapshot(snapshot, self._secrets())

    def receive_value(self, value: Any) -> Any:  # noqa: ANN401 - the same type
        """The decoded value of a response, in which recordings have no secrets."""
        if isinstance(value, RecordingSnapshot):
            return self.receive(value)
        if isinstance(value, RecordingPage) and any(
            snapshot.error_message or snapshot.unknown_status for snapshot in value.recordings
        ):
            recordings = tuple(map(self.receive, value.recordings))
            return msgspec.structs.replace(value, recordings=recordings)
        return value

    def with_all_secrets(self, request: ApiRequest) -> ApiRequest:
        """The request with every secret that an error about it must not repeat."""
        return request._replace(secrets=(*request.secrets, *self._secrets()))

    def _secrets(self) -> tuple[str, ...]:
        token = (self._headers.last_token,) if self._headers.last_token else ()
        return (*token, *self._sent_secrets.all())
