"""Errors of the storage."""

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import S3Store

from worker.archive.errors import StorageRefused, StorageUnavailable
from worker.archive.storage.storage_errors import storage_error, translated_errors


def answer(status: int, body: str = "") -> GenericError:
    return GenericError(
        "Generic S3 error: Error performing PUT https://s.example.com/b/k?sig=sesame in 2ms"
        f" - Server returned non-2xx status code: {status} Words: {body}\n\nDebug source:\nsesame"
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 412, 416, 499])
def test_a_4xx_is_a_refusal(status: int) -> None:
    error = storage_error(answer(status), "write a")
    assert isinstance(error, StorageRefused)
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        answer(301),
        answer(307),
        GenericError("PUT https://x/b - Received redirect without LOCATION, this normally"),
        GenericError("HEAD https://x/b - HTTP error: error following redirect"),
    ],
)
def test_a_redirect_is_a_refusal_because_only_another_region_or_endpoint_helps(
    error: GenericError,
) -> None:
    found = storage_error(error, "write a")
    assert isinstance(found, StorageRefused)
    assert "in another region or at another endpoint" in str(found)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_answer_that_can_be_another_one_soon_is_no_refusal(status: int) -> None:
    assert isinstance(storage_error(answer(status), "write a"), StorageUnavailable)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GenericError("Error performing PUT https://x/b in 3s - HTTP error: timed out"), False),
        (GenericError("Unable to create file /a: Permission denied (os error 13)"), True),
        (GenericError("Unable to create dir /a: Read-only file system (os error 30)"), True),
        (GenericError("Unable to copy data to file: No space left (os error 28)"), False),
        (FileNotFoundError("Object at location a not found"), True),
        (ValueError("Path has an empty segment"), True),
        (OSError("broken"), False),
    ],
)
def test_other_errors_are_refusals_only_if_waiting_does_not_help(
    error: Exception, kind: bool
) -> None:
    assert isinstance(storage_error(error, "write a"), StorageRefused) == kind


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "IncompleteBody"),
        (400, "RequestTimeout"),
        (403, "RequestTimeTooSkewed"),
        (404, "NoSuchUpload"),
        (409, "ConditionalRequestConflict"),
        (409, "OperationAborted"),
    ],
)
def test_a_4xx_that_passes_by_its_code_is_no_refusal(status: int, code: str) -> None:
    error = storage_error(answer(status, f"<Error><Code>{code}</Code></Error>"), "write a")
    assert isinstance(error, StorageUnavailable)
    assert code in str(error)


def test_the_text_has_the_words_of_the_storage_and_no_url_or_signature() -> None:
    body = "<Error><Code>SlowDown</Code><Message>Reduce your rate</Message><K>sesame</K></Error>"
    text = str(storage_error(answer(503, body), "write a/b"))
    assert text == (
        "storage_unavailable: the storage failed to write a/b: HTTP 503, SlowDown, Reduce your rate"
    )
    assert "sesame" not in str(storage_error(answer(999), "write a"))
    assert "sesame" not in str(storage_error(GenericError("at https://h/?sig=sesame in 2s"), "x"))


async def test_a_panic_of_the_library_is_an_error_of_the_storage_and_ends_no_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = S3Store("bucket", config={"endpoint": "no URL", "region": "us-east-1"})

    with pytest.raises(StorageUnavailable, match="panic"), translated_errors("write a.webm"):
        await obstore.put_async(store, "a.webm", b"x")
