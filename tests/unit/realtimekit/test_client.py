"""The requests that the client sends."""

import base64
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from recording_schemas import Status
from tests.unit.api_client import answered_client
from worker.domain.errors import Refused, Unauthorized
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry

BEARER = "token-that-must-stay-secret"
APP = "/client/v4/accounts/acc/realtime/kit/app"
RECORDING = {"id": "rec-1", "status": "RECORDING"}


class Api:
    """Returns the same response to every request, and keeps the requests."""

    def __init__(self, data: object = RECORDING, bearer: str = BEARER, **headers: str) -> None:
        self.requests: list[httpx.Request] = []
        self.response = httpx.Response(200, json={"success": True, "data": data}, headers=headers)
        self.bearer = bearer
        self.client = answered_client(
            self._respond,
            base_url="https://api.example/client/v4/",
            token=lambda: self.bearer,
        )

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.response


Call = Callable[[RealtimeKitClient], Awaitable[Any]]


@pytest.mark.parametrize(
    ("call", "data", "method", "path"),
    [
        (
            lambda client: client.start_track_recording({"meeting_id": "m"}),
            RECORDING,
            "POST",
            "/recordings/track",
        ),
        (
            lambda client: client.start_composite_recording({"meeting_id": "m"}),
            RECORDING,
            "POST",
            "/recordings",
        ),
        (lambda client: client.get_recording("rec-1"), RECORDING, "GET", "/recordings/rec-1"),
        (lambda client: client.list_recordings(), [RECORDING], "GET", "/recordings?page_no=1"),
        (
            lambda client: client.control_recording("rec-1", "pause"),
            RECORDING,
            "PUT",
            "/recordings/rec-1",
        ),
        (
            lambda client: client.list_participants("s-1"),
            {"participants": []},
            "GET",
            "/sessions/s-1/participants?page_no=1&per_page=100&view=raw",
        ),
        (lambda client: client.list_webhooks(), [], "GET", "/webhooks"),
        (lambda client: client.delete_webhook("w-1"), None, "DELETE", "/webhooks/w-1"),
    ],
)
async def test_every_operation_has_its_method_and_path(
    call: Call, data: object, method: str, path: str
) -> None:
    api = Api(data)
    await call(api.client)
    request = api.requests[0]  # a list without paging needs another one
    assert (request.method, str(request.url)) == (method, f"https://api.example{APP}{path}")


async def test_a_start_sends_its_body_unchanged() -> None:
    api = Api()
    body = {"meeting_id": "m", "user_ids": ("a", "b"), "layers": {"default": {}}}
    await api.client.start_track_recording(body)
    (request,) = api.requests
    assert json.loads(request.content) == body | {"user_ids": ["a", "b"]}
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("action", ["stop", "pause", "resume"])
async def test_an_action_is_a_put_with_the_action_alone(action: Any) -> None:
    api = Api()
    await api.client.control_recording("rec-1", action)
    assert json.loads(api.requests[0].content) == {"action": action}


async def test_every_filter_of_the_list_is_sent_in_the_documented_form() -> None:
    api = Api([])
    await api.client.list_recordings(
        page_no=2,
        per_page=50,
        meeting_id="m-1",
        statuses=(Status.UPLOADED, Status.ERRORED),
        sort_order="DESC",
    )
    assert api.requests[0].url.query.decode() == (
        "page_no=2&per_page=50&meeting_id=m-1&status=UPLOADED,ERRORED"
        "&sort_by=invokedTime&sort_order=DESC"
    )


async def test_create_and_replace_send_every_field_of_a_webhook() -> None:
    api = Api({"id": "w-1", "url": "https://a.example/"})
    fields = {"name": "n", "url": "https://a.example/", "events": ["recording.statusUpdate"]}
    await api.client.create_webhook(**fields)  # type: ignore[arg-type]
    await api.client.replace_webhook("w-1", **fields, enabled=False)  # type: ignore[arg-type]
    assert [(request.method, json.loads(request.content)) for request in api.requests] == [
        ("POST", fields | {"enabled": True}),
        ("PUT", fields | {"enabled": False}),
    ]


async def test_the_token_is_read_for_every_request() -> None:
    api = Api()
    await api.client.get_recording("rec-1")
    api.bearer = "the-next-one"
    await api.client.get_recording("rec-1")
    sent = [request.headers["authorization"] for request in api.requests]
    assert sent == [f"Bearer {BEARER}", "Bearer the-next-one"]


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "tökén"])
async def test_a_token_that_is_no_header_value_is_neither_sent_nor_repeated_in_the_error(
    token: str,
) -> None:
    api = Api(bearer=token)
    with pytest.raises(Unauthorized) as raised:
        await api.client.get_recording("rec-1")
    assert api.requests == []
    assert not token or token not in str(raised.value)


async def test_cookies_of_the_api_are_not_sent_back() -> None:
    api = Api(**{"Set-Cookie": "session=1"})
    await api.client.get_recording("rec-1")
    await api.client.get_recording("rec-1")
    assert "cookie" not in api.requests[1].headers


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a?b", "a b", "ä", "x" * 129, "a\n"])
async def test_an_id_that_would_change_the_path_is_refused_without_a_request(bad: str) -> None:
    api = Api()
    with pytest.raises(Refused) as raised:
        await api.client.control_recording(bad, "stop")
    assert (raised.value.code, raised.value.field) == ("invalid_field", "recording_id")
    assert api.requests == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"base_url": "api.example/v4"}, "base_url"),
        ({"base_url": "ftp://api.example"}, "base_url"),
        ({"base_url": "https://user:pass@api.example"}, "base_url"),
        ({"base_url": "https://api.example/?key=1"}, "base_url"),
        ({"account_id": "../x"}, "account_id"),
        ({"app_id": ""}, "app_id"),
    ],
)
def test_an_error_about_the_api_url_names_the_wrong_part(
    changed: dict[str, str], expected: str
) -> None:
    parts: dict[str, Any] = {
        "base_url": "https://api.example",
        "account_id": "a",
        "app_id": "b",
    } | changed
    with pytest.raises(ValueError, match=expected) as raised:
        RealtimeKitClient(**parts, token=lambda: BEARER, timeout=1.0, retry=RequestRetry())
    assert "pass" not in str(raised.value).replace("password", "")


async def test_neither_repr_nor_log_contains_the_token(caplog: pytest.LogCaptureFixture) -> None:
    api = Api()
    with caplog.at_level(logging.DEBUG):
        await api.client.get_recording("rec-1")
    assert BEARER not in repr(api.client) + repr(vars(api.client)) + caplog.text
    assert caplog.records == []


SENT_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"  # noqa: S105 - nobody's
START = {
    "meeting_id": "m",
    "storage_config": {"type": "aws", "bucket": "b", "secret": SENT_SECRET},
}


def encoded(text: str) -> str:
    percent = re.sub("%..", lambda escape: escape[0].lower(), quote(text, safe=""))
    return f"{percent} {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize("text", [SENT_SECRET, BEARER])
async def test_no_later_answer_repeats_a_secret_that_was_sent(text: str) -> None:
    """Only the request that started the recording contained the secret."""
    api = Api()
    await api.client.start_composite_recording(START)
    row = {**RECORDING, "err_message": f"refused: {text} {encoded(text)}"}
    answers = []
    for data, ask in (
        (row, api.client.get_recording("rec-1")),
        (row, api.client.control_recording("rec-1", "stop")),
        ([row], api.client.list_recordings()),
    ):
        api.response = httpx.Response(200, json={"success": True, "data": data})
        answers.append(repr(await ask))
    api.response = httpx.Response(400, json={"errors": [{"message": f"no {text} {encoded(text)}"}]})
    with pytest.raises(Refused) as refused:
        await api.client.control_recording("rec-1", "stop")
    webhook = RecordingSnapshot(
        recording_id="r", status=Status.ERRORED, error_message=f"no {text} {encoded(text)}"
    )
    answers += [str(refused.value), repr(api.client.receive(webhook))]
    for answer in answers:
        assert "[secure]" in answer
        assert text not in answer
        assert not any(word in answer for word in encoded(text).split())


async def test_an_answer_without_secrets_keeps_its_words() -> None:
    api = Api({**RECORDING, "err_message": "the disk is full (100% of 5+5 GB)"})
    await api.client.start_composite_recording(START)
    snapshot = await api.client.get_recording("rec-1")
    assert snapshot.error_message == "the disk is full (100% of 5+5 GB)"
