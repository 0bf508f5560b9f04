"""Which error every failure of the API becomes, and whether the request is sent again."""

import gzip
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from tests.unit.api_client import answered_client
from worker.domain.errors import (
    AnswerLost,
    ApiError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Refused,
    RefusedForNow,
    Throttled,
    Unauthorized,
    Unavailable,
)
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.http.protocol import MAX_RESPONSE_BYTES
from worker.realtimekit.retry import RequestRetry

BEARER = "token-that-must-stay-secret"
GOOD = httpx.Response(200, json={"success": True, "data": {"id": "rec-1", "status": "INVOKED"}})
STORAGE = {
    "type": "aws",
    "bucket": "calls",
    "access_key": "AKIAIOSFODNN7",
    "secret": 'wJal"rXUtn\\FEMI/K7MDENG',
    "private_key": "-----BEGIN KEY-----\nMIIEpQIBAAKCAQEA\n-----END KEY-----",
}

Reply = httpx.Response | Exception
Call = Callable[[RealtimeKitClient], Awaitable[Any]]


class Api:
    """Returns the replies one after the other, then repeats the last one. Counts the requests."""

    def __init__(self, *replies: Reply, attempts: int = 3) -> None:
        self.replies: Sequence[Reply] = replies
        self.requests = 0
        self.slept: list[float] = []
        self.client = answered_client(
            self._reply,
            token=lambda: BEARER,
            retry=RequestRetry(attempts=attempts, sleep=self._sleep),
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _reply(self, _request: httpx.Request) -> httpx.Response:
        reply = self.replies[min(self.requests, len(self.replies) - 1)]
        self.requests += 1
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def failure(self, call: Call) -> ApiError:
        with pytest.raises(ApiError) as raised:
            await call(self.client)
        return raised.value


def get(client: RealtimeKitClient) -> Awaitable[Any]:
    return client.get_recording("rec-1")


def stop(client: RealtimeKitClient) -> Awaitable[Any]:
    return client.control_recording("rec-1", "stop")


def start_track(client: RealtimeKitClient) -> Awaitable[Any]:
    return client.start_track_recording({"meeting_id": "m"})


def start_composite(client: RealtimeKitClient) -> Awaitable[Any]:
    return client.start_composite_recording({"meeting_id": "m", "storage_config": STORAGE})


def create_webhook(client: RealtimeKitClient) -> Awaitable[Any]:
    return client.create_webhook(
        name="n", url="https://a.example/", events=["recording.statusUpdate"]
    )


def error_response(status: int, message: str = "no", **headers: str) -> httpx.Response:
    error = {"code": status, "message": message}
    return httpx.Response(status, json={"success": False, "error": error}, headers=headers)


def gateway_response(status: int, message: str = "no", **headers: str) -> httpx.Response:
    errors = [{"code": status, "message": message}]
    return httpx.Response(status, json={"success": False, "errors": errors}, headers=headers)


LIMIT_TEXTS = (
    "Maximum number of concurrent recordings reached",
    "too many concurrent recordings",
    "the limit of concurrent meeting recordings is 10",
    "Recording concurrency limit reached",
    "Simultaneous recordings are limited to 25",
    "Too many active recordings for this organization",
    "The maximum number of ongoing recordings (25) has been reached",
    "recordings limit exceeded",
    "RECORDING_LIMIT_REACHED: recording limit reached",
)


@pytest.mark.parametrize("call", [start_track, start_composite])
@pytest.mark.parametrize("response", [error_response, gateway_response])
@pytest.mark.parametrize("status", [200, 400, 403, 409, 422, 429, 500, 503])
@pytest.mark.parametrize("text", LIMIT_TEXTS)
async def test_a_limit_of_concurrent_recordings_is_recognised_with_every_status(
    call: Call, response: Callable[..., httpx.Response], status: int, text: str
) -> None:
    api = Api(response(status, text))
    failure = await api.failure(call)
    assert (type(failure), failure.code, failure.message) == (RefusedForNow, "capacity", text)
    assert api.requests == 1


@pytest.mark.parametrize("user", ["recordings", "e"])
async def test_the_limit_is_recognised_if_a_secret_is_one_of_the_words_that_name_it(
    user: str,
) -> None:
    body = {"meeting_id": "m", "storage_config": {"type": "sftp", "username": user}}
    api = Api(error_response(400, "Maximum number of concurrent recordings reached"))
    failure = await api.failure(lambda client: client.start_composite_recording(body))
    assert (type(failure), failure.code) == (RefusedForNow, "capacity")
    assert user not in failure.message.replace("[secure]", "")


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "text",
    [
        "another recording is already in progress",
        "the maximum recording duration is exceeded",
        '"max_seconds" exceeds the maximum of 86400 for recordings',
        '"user_ids" must contain less than or equal to 100 items',
        "recordings are limited to live sessions",
    ],
)
async def test_other_limits_and_conflicts_of_a_start_are_final_refusals(
    status: int, text: str
) -> None:
    assert type(await Api(error_response(status, text)).failure(start_track)) is Refused


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_of_the_gateway_concerns_the_token(status: int) -> None:
    assert isinstance(await Api(gateway_response(status)).failure(start_track), Unauthorized)


@pytest.mark.parametrize("call", [get, stop, start_track, start_composite])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Refused),
        (401, Unauthorized),
        (403, RefusedForNow),
        (429, RefusedForNow),
        (404, NotFound),
        (405, Refused),
        (409, Conflict),
        (413, Refused),
        (422, Refused),
    ],
)
async def test_a_refused_request_is_sent_once(
    call: Call, status: int, error: type[ApiError]
) -> None:
    api = Api(error_response(status))
    failure = await api.failure(call)
    assert (type(failure), failure.http_status, failure.message) == (error, status, "no")
    assert (api.requests, api.slept) == (1, [])


@pytest.mark.parametrize("call", [get, stop])
@pytest.mark.parametrize("status", [302, 408, 425, 500, 502, 503, 504, 520])
async def test_reads_and_actions_are_sent_again_when_the_api_is_unavailable(
    call: Call, status: int
) -> None:
    api = Api(error_response(status))
    failure = await api.failure(call)
    assert (type(failure), api.requests) == (Unavailable if status == 425 else AnswerLost, 3)
    api = Api(error_response(status), GOOD)
    await call(api.client)
    assert api.requests == 2


@pytest.mark.parametrize("call", [start_track, start_composite, create_webhook])
@pytest.mark.parametrize("status", [303, 408, 500, 502, 503, 504, 520])
async def test_a_post_that_may_have_been_executed_is_not_sent_again(
    call: Call, status: int
) -> None:
    api = Api(error_response(status, **{"Retry-After": "0"}), GOOD)
    failure = await api.failure(call)
    assert (type(failure), failure.http_status, api.requests) == (OutcomeUnknown, status, 1)


LOST = [
    httpx.ReadTimeout("t"),
    httpx.WriteTimeout("t"),
    httpx.ReadError("r"),
    httpx.WriteError("w"),
    httpx.RemoteProtocolError("p"),
    httpx.CloseError("c"),
    ConnectionResetError("r"),
    TimeoutError(),
    httpx.RemoteProtocolError("no HTTP"),
]


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: type(lost).__name__)
async def test_a_post_whose_response_was_lost_is_not_sent_again(lost: Exception) -> None:
    api = Api(lost, GOOD)
    assert (type(await api.failure(start_track)), api.requests) == (OutcomeUnknown, 1)


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: type(lost).__name__)
async def test_a_read_whose_response_was_lost_is_sent_again(lost: Exception) -> None:
    api = Api(lost, GOOD)
    assert (await api.client.get_recording("rec-1")).recording_id == "rec-1"
    assert api.requests == 2


@pytest.mark.parametrize("call", [get, stop, start_track, start_composite])
@pytest.mark.parametrize(
    "unsent", [httpx.ConnectError("c"), httpx.ConnectTimeout("c"), httpx.PoolTimeout("p")]
)
async def test_a_request_that_was_never_sent_is_sent_again(call: Call, unsent: Exception) -> None:
    api = Api(unsent, unsent, GOOD)
    await call(api.client)
    assert api.requests == 3
    failure = await Api(unsent).failure(call)
    assert (type(failure), failure.code) == (Unavailable, "connect_failed")


USELESS = [
    httpx.Response(200, content=b""),
    httpx.Response(200, content=b"<html>hello</html>"),
    httpx.Response(200, json={"success": True}),
    httpx.Response(200, json={"success": True, "data": {"recording": {"status": "INVOKED"}}}),
    httpx.Response(200, json=[]),
    httpx.Response(204),
    httpx.Response(200, json={"success": False, "data": {"id": "rec-1", "status": "INVOKED"}}),
]


@pytest.mark.parametrize("reply", USELESS)
async def test_a_start_whose_response_has_no_id_has_an_unknown_outcome(
    reply: httpx.Response,
) -> None:
    api = Api(reply, GOOD)
    failure = await api.failure(start_track)
    assert (type(failure), failure.code) == (OutcomeUnknown, "unreadable_response")
    assert api.requests == 1


@pytest.mark.parametrize("status", [None, "MELTED"])
async def test_a_start_whose_response_has_an_id_has_started_with_any_status(
    status: str | None,
) -> None:
    reply = httpx.Response(200, json={"data": {"recording": {"id": "rec-1", "status": status}}})
    found = await Api(reply).client.start_track_recording({"meeting_id": "m"})
    assert (found.recording_id, found.status, found.kind) == ("rec-1", "INVOKED", "track")
    assert found.meeting_id == "m"


async def test_a_read_whose_response_has_no_recording_is_unavailable_after_the_retries() -> None:
    api = Api(httpx.Response(200, json={"data": {"status_of_today": "MELTED"}}))
    failure = await api.failure(get)
    assert (type(failure), failure.code, api.requests) == (AnswerLost, "unreadable_response", 3)


@pytest.mark.parametrize("call", [get, stop, start_track, start_composite])
@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(429),
        gateway_response(429),
        httpx.Response(403, json={"success": False, "errors": [{"code": 971, "message": "wait"}]}),
        httpx.Response(500, json={"error": {"code": "971", "message": "wait"}}),
        httpx.Response(200, json={"success": False, "errors": [{"code": 971}]}),
    ],
)
async def test_throttling_is_tried_again_with_every_status(
    call: Call, reply: httpx.Response
) -> None:
    api = Api(reply, GOOD)
    await call(api.client)
    assert api.requests == 2
    assert isinstance(await Api(reply).failure(call), Throttled)


@pytest.mark.parametrize("status", [429, 503])
async def test_the_pause_is_at_least_the_retry_after(status: int) -> None:
    api = Api(gateway_response(status, **{"Retry-After": "7"}), GOOD)
    await api.client.get_recording("rec-1")
    assert 7.0 <= api.slept[0] <= 7.25


@pytest.mark.parametrize("call", [get, stop, start_track, start_composite])
@pytest.mark.parametrize("code", [6003, 9106, 10000])
async def test_a_400_of_the_gateway_for_a_malformed_token_concerns_the_token(
    call: Call, code: int
) -> None:
    """The answer of Cloudflare to `Bearer <token>`, a placeholder in a Secret."""
    chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
    error = {"code": code, "message": "Invalid request headers", "error_chain": chain}
    reply = httpx.Response(400, json={"success": False, "errors": [error], "result": None})
    assert type(await Api(reply).failure(call)) is Unauthorized


async def test_a_400_of_the_product_concerns_the_request_whatever_its_code() -> None:
    reply = httpx.Response(400, json={"success": False, "error": {"code": 6003, "message": "bad"}})
    assert type(await Api(reply).failure(start_track)) is Refused


BLOCKED = b"\n<!DOCTYPE html><head><title>Attention Required! | Cloudflare</title></head>"


async def test_a_start_that_a_firewall_blocks_says_so_and_names_the_ray() -> None:
    reply = httpx.Response(403, headers={"CF-Ray": "9e8116df4823e2c5-FRA"}, content=BLOCKED)
    failure = await Api(reply).failure(start_track)
    assert isinstance(failure, RefusedForNow)
    assert failure.code == "forbidden"
    assert failure.message.endswith(
        "Attention Required! | Cloudflare (CF-Ray 9e8116df4823e2c5-FRA)"
    )


async def test_a_page_in_answer_to_a_request_that_always_says_the_same_concerns_the_token() -> None:
    reply = httpx.Response(403, content=BLOCKED)
    assert isinstance(await Api(reply).failure(get), Unauthorized)
    assert isinstance(await Api(reply).failure(stop), Unauthorized)


@pytest.mark.parametrize("call", [get, stop, start_track, start_composite])
@pytest.mark.parametrize("status", [404, 405, 407, 409, 410, 421])
@pytest.mark.parametrize(
    "content",
    [
        b"<html><head><title>404 Not Found</title></head></html>",
        b"default backend - 404",
        b"",
        b"[]",
        b'{"success":false,"errors":[{"code":7003,"message":"No route for the URI"}]}',
    ],
)
async def test_an_answer_of_a_program_in_front_of_the_api_refuses_nothing(
    call: Call, status: int, content: bytes
) -> None:
    reply = httpx.Response(status, content=content)
    failure = await Api(reply).failure(call)
    assert (type(failure), failure.code) == (Unavailable, "unexpected_status")
    assert failure.http_status == status
    await call(Api(reply, GOOD).client)


@pytest.mark.parametrize(
    "content",
    [
        b'{"success":false}',
        b'{"success":false,"message":"not found"}',
        b'{"error":{"message":"half an emoji \\ud83d"}}',
        b'{"success":false,"errors":["Not Found"]}',
        b'{"success":false,"errors":{"id":"unknown"}}',
    ],
)
async def test_an_error_of_the_api_in_another_form_is_its_own_answer(content: bytes) -> None:
    failure = await Api(httpx.Response(404, content=content)).failure(get)
    assert (type(failure), failure.code) == (NotFound, "not_found")


@pytest.mark.parametrize("call", [get, stop, start_track, start_composite])
@pytest.mark.parametrize("status", [404, 405, 410])
@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b'{"message":"no Route matched with those values"}',
        b'{"error":"not found"}',
        b'{"timestamp":1,"status":404,"error":"Not Found","path":"/client"}',
        b'{"type":"about:blank","title":"Not Found","status":404}',
        b'{"errors":["Not Found"]}',
    ],
)
async def test_json_that_is_no_error_of_the_api_refuses_nothing_and_concerns_this_request_alone(
    call: Call, status: int, content: bytes
) -> None:
    failure = await Api(httpx.Response(status, content=content)).failure(call)
    assert (type(failure), failure.code) == (RefusedForNow, "unexpected_status")


async def test_a_conflict_is_the_api_s_own_in_any_json() -> None:
    failure = await Api(httpx.Response(409, json={"message": "already"})).failure(start_composite)
    assert (type(failure), failure.code) == (Conflict, "already_recording")


async def test_a_refusal_of_the_product_with_broken_text_does_not_concern_the_token() -> None:
    body = b'{"success":false,"error":{"code":403,"message":"caf\xe9"}}'
    failure = await Api(httpx.Response(403, content=body)).failure(start_track)
    assert (type(failure), failure.code) == (RefusedForNow, "forbidden")


@pytest.mark.parametrize("status", [400, 413, 414, 431])
async def test_a_page_that_refuses_the_request_itself_is_final(status: int) -> None:
    reply = httpx.Response(status, content=b"<html><title>Request Too Large</title></html>")
    failure = await Api(reply).failure(start_track)
    assert (type(failure), failure.message) == (Refused, "Request Too Large")


async def test_a_retry_after_that_is_too_long_is_raised_at_once() -> None:
    api = Api(gateway_response(429, **{"Retry-After": "300"}))
    failure = await api.failure(start_track)
    assert isinstance(failure, Throttled)
    assert (failure.retry_after, api.requests, api.slept) == (300.0, 1, [])


@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
async def test_a_retry_after_date_is_read_by_the_clock_that_wrote_it(ahead: int) -> None:
    at = datetime.now(UTC) + timedelta(seconds=ahead)
    date, until = (format_datetime(time, usegmt=True) for time in (at, at + timedelta(seconds=30)))
    api = Api(gateway_response(429, Date=date, **{"Retry-After": until}))
    failure = await api.failure(start_track)
    assert isinstance(failure, Throttled)
    assert failure.retry_after == 30.0


async def test_a_failure_reported_in_a_2xx_body_counts_as_that_failure() -> None:
    error = {"code": 404, "message": "gone"}
    reply = httpx.Response(200, json={"success": False, "error": error})
    assert isinstance(await Api(reply).failure(start_track), NotFound)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"success":false,"error":{"code":400,"message":"BAD"}}', "BAD"),
        (b'{"success":false,"errors":[{"code":1001,"message":"No access"}]}', "No access"),
        (b'{"errors":[{"code":1,"message":"one"},null,{"message":"two"}]}', "one; two"),
        (b'{"message":"Unauthorized"}', "Unauthorized"),
        (b'{"error":"Bad Request","message":"no \\"url\\""}', 'Bad Request: no "url"'),
        (b'{"error":"Bad Request","message":["one",null,"two"]}', "Bad Request: one; two"),
        (b'{"error":{"message":["one","two"]}}', "one; two"),
        (b'{"error":"plain"}', "plain"),
        (b"no JSON at\n all", "no JSON at all"),
        (b"<html><head><title>502 Bad\ngateway</title></head></html>", "502 Bad gateway"),
        (b"<html>hello</html>", "the API responded with status 400"),
        (b"", "the API responded with status 400"),
        (b"\xff\x00", "\ufffd"),
        (b"[]", "[]"),
        (b'{"error":[1],"message":5}', '{"error":[1],"message":5}'),
        (b'{"message":5}', '{"message":5}'),
        (b'{"error":{"code":{},"message":[]}}', '{"error":{"code":{},"message":[]}}'),
        (b'{"error":{"message":"caf\xe9"}}', "caf\ufffd"),
    ],
)
async def test_the_apis_message_is_found_in_every_envelope(content: bytes, message: str) -> None:
    failure = await Api(httpx.Response(400, content=content)).failure(get)
    assert (failure.message, str(failure)) == (message, f"bad_request: {message}")


@pytest.mark.parametrize("words", ["x" * 9000, "x " * 2_000_000])
async def test_the_apis_message_is_bounded(words: str) -> None:
    assert len((await Api(error_response(400, words)).failure(get)).message) == 500


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ('"layers.default.outputs" is required', "layers.default.outputs"),
        ('BAD_REQUEST: "name" is required', "name"),
        ('"user_ids[3]" must be a string', "user_ids[3]"),
        ('"layers.default.media_kind" is not allowed', "layers.default.media_kind"),
        ('the meeting "weekly" was not found', None),
        ("bad request", None),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
async def test_the_field_that_the_api_names_is_in_the_error(
    status: int, words: str, field: str | None
) -> None:
    failure = await Api(error_response(status, words)).failure(start_track)
    assert isinstance(failure, Refused)
    assert (failure.code, failure.field) == ("invalid_field" if field else "bad_request", field)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (start_composite, "already_recording"),
        (start_track, "already_recording"),
        (stop, "conflict"),
        (create_webhook, "conflict"),
    ],
)
async def test_a_409_means_already_recording_only_for_a_start(call: Call, code: str) -> None:
    assert (await Api(error_response(409)).failure(call)).code == code


@pytest.mark.parametrize(
    "words",
    [
        f'"storage_config.secret" with value "{STORAGE["secret"]}" is weak',
        f"key {json.dumps(STORAGE['secret'])} and {STORAGE['access_key']}",
        "bad key MIIEpQIBAAKCAQEA",
        "x" * 490 + STORAGE["secret"],
        f"key {STORAGE['private_key']}",
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
async def test_secrets_that_the_api_repeats_are_redacted(words: str, as_json: bool) -> None:
    reply = error_response(400, words) if as_json else httpx.Response(400, text=words)
    failure = await Api(reply).failure(start_composite)
    for piece in ("AKIAIOSFODNN7", "wJal", "MIIEpQ"):
        assert piece not in failure.message
    assert "[secure]" in failure.message or len(failure.message) == 500


async def test_a_bucket_is_not_redacted() -> None:
    failure = await Api(error_response(400, "bucket calls of aws")).failure(start_composite)
    assert failure.message == "bucket calls of aws"


@pytest.mark.parametrize(("call", "error"), [(get, AnswerLost), (start_track, OutcomeUnknown)])
@pytest.mark.parametrize("packed", [True, False])
async def test_a_response_beyond_the_maximum_size_is_not_read_to_its_end(
    call: Call, error: type[ApiError], packed: bool
) -> None:
    content = b" " * (MAX_RESPONSE_BYTES + 1)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    reply = httpx.Response(
        200, headers=headers, content=gzip.compress(content) if packed else content
    )
    failure = await Api(reply, attempts=1).failure(call)
    assert (type(failure), failure.code) == (error, "response_too_large")


@pytest.mark.parametrize(
    "reply", [error_response(500), httpx.ConnectError("c"), LOST[2], USELESS[0]]
)
async def test_no_error_references_the_token(reply: Reply) -> None:
    failure: BaseException | None = await Api(reply).failure(get)
    while failure is not None:
        assert BEARER not in f"{failure} {failure!r} {failure.args} {vars(failure)}"
        assert not hasattr(failure, "request")
        failure = failure.__cause__ or failure.__context__


ODD_DATES = [
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 2026 00:00:00 +99999999999999",
    "Fri, 31 Dec 9999 23:59:59 GMT",
]


@pytest.mark.parametrize("date", ODD_DATES)
async def test_an_impossible_date_header_does_not_hide_that_a_start_was_executed(
    date: str,
) -> None:
    reply = httpx.Response(200, headers={"Date": date}, json=GOOD.json())
    api = Api(reply)
    assert (await start_track(api.client)).recording_id == "rec-1"
    api.client.server_time()


@pytest.mark.parametrize("date", ODD_DATES)
async def test_an_impossible_retry_after_date_is_ignored(
    date: str,
) -> None:
    reply = httpx.Response(503, headers={"Retry-After": date})
    assert type(await Api(reply, attempts=1).failure(start_track)) is OutcomeUnknown


async def test_a_response_that_is_compressed_twice_is_not_decompressed() -> None:
    bomb = gzip.compress(gzip.compress(b"0" * 10_000_000))
    reply = httpx.Response(
        200, headers={"Content-Encoding": "gzip, gzip"}, stream=httpx.ByteStream(bomb)
    )
    failure = await Api(reply, attempts=1).failure(get)
    assert (type(failure), failure.code) == (AnswerLost, "connection_lost")


async def test_errors_keep_no_response_body_alive() -> None:
    body = bytearray(b'{"error": {"message": "away"}}')
    error = await Api(httpx.Response(500, content=bytes(body)), attempts=2).failure(get)
    traceback = error.__traceback__
    while traceback is not None:
        answer = traceback.tb_frame.f_locals.get("answer")
        assert answer is None or not answer.body
        traceback = traceback.tb_next
