"""Which setting an operator is asked to look at when the API cannot be used."""

import httpx
import pytest

from worker.domain.errors import Unauthorized, Unavailable
from worker.realtimekit.error_mapping import error_from_exception
from worker.realtimekit.http.protocol import NO_HTTP_RESPONSE
from worker.realtimekit.models import ApiRequest
from worker.realtimekit.setting_hints import with_setting_hint

VERIFY = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"


@pytest.mark.parametrize(
    ("reason", "setting"),
    [
        ("api.example:443: [Errno 111] Connection refused", "REALTIMEKIT_BASE_URL"),
        (f"api.example:443: {VERIFY}: unable to get local issuer certificate", "SSL_CERT_FILE"),
        (f"api.example:443: {VERIFY}: certificate has expired", "clock of this machine"),
        (f"api.example:443: {VERIFY}: Hostname mismatch", "REALTIMEKIT_BASE_URL"),
        ("no connection through the proxy p:3128: refused", "HTTPS_PROXY"),
        (f"no connection through the proxy p:3128: {VERIFY}: self-signed", "SSL_CERT_FILE"),
        (f"no connection through the proxy p:3128: {VERIFY}: Hostname mismatch", "HTTPS_PROXY"),
    ],
)
def test_a_failed_connection_names_the_setting_that_decides_it(reason: str, setting: str) -> None:
    text = with_setting_hint(Unavailable("connect_failed", reason))
    assert reason in text
    assert setting in text.removeprefix("connect_failed: ").removeprefix(reason)


def test_an_address_that_does_not_speak_http_names_the_setting() -> None:
    request = ApiRequest("GET", "/webhooks", httpx.URL("http://h/v4/webhooks"), None, ())
    error = error_from_exception(httpx.RemoteProtocolError(NO_HTTP_RESPONSE), request)
    assert with_setting_hint(error) == (
        "connection_lost: the response was lost: the data received is no HTTP response. "
        "Is REALTIMEKIT_BASE_URL right, or `base_url` in WORKER_APPS_FILE?"
    )


def test_a_refused_token_is_named_and_a_passing_fault_names_no_setting() -> None:
    assert "REALTIMEKIT_API_TOKEN" in with_setting_hint(Unauthorized("unauthorized", "no"))
    assert with_setting_hint(Unavailable("timeout", "no answer")).endswith("no answer")
