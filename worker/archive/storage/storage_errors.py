"""Converts obstore's errors to ours.

obstore has classes for some statuses, and gives all of them in the text of the error.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError
from obstore.exceptions import BaseError, UnauthenticatedError

from worker.archive.errors import ObjectMissing, StorageRefused, StorageUnavailable

_STORAGE_ERRORS: Final = (BaseError, BotoCoreError, OSError, ValueError)
"""What obstore raises. For HTTP 404 it raises FileNotFoundError."""

_PANIC: Final = "RustPanic"
"""A fault in obstore itself, of a class that cannot be imported. It must not end the worker."""

_STATUS: Final = re.compile(r"status code: (\d{3})")
_OS_ERROR: Final = re.compile(r"\(os error (\d{1,4})\)")
_CODE: Final = re.compile(r"<Code>([\w.]{1,64})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,300})")
_LATER: Final = {408, 429}
_CODES_THAT_PASS: Final = frozenset(
    {
        "NoSuchUpload",  # another replica ended the upload
        "RequestTimeout",  # the network was too slow; HTTP 400
        "IncompleteBody",  # the connection broke
        "OperationAborted",  # another request works on the object or the bucket
        "ConditionalRequestConflict",
        "RequestTimeTooSkewed",  # this machine's clock is wrong, perhaps not that of other replicas
    }
)
"""S3's codes for a 4xx that the same request may not get again."""

_REDIRECTS: Final = ("Received redirect without LOCATION", "error following redirect")
"""obstore's text for an answer that names another place."""

REDIRECTED: Final = "the bucket is in another region or at another endpoint"
_FOLDER_REFUSES: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG}


@contextmanager
def translated_errors(doing: str) -> Iterator[None]:
    """Raise our errors instead of obstore's. `doing` describes the operation."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, _STORAGE_ERRORS) and type(error).__name__ != _PANIC:
            raise
        # The text of the cause may hold a signature: a traceback would log it.
        raise storage_error(error, doing) from None


@contextmanager
def opening_errors() -> Iterator[None]:
    """Raise ValueError for wrong variables of a provider. It repeats no secret."""
    try:
        yield
    except _STORAGE_ERRORS as error:
        raise ValueError(f"cannot be opened: {_without_urls(str(error))}") from None


def storage_error(error: Exception, doing: str) -> StorageUnavailable | StorageRefused:
    """Our error for an error of obstore. `doing` describes the operation.

    The text has the provider's error code and message. It has no URL, because a URL may have a
    signature.
    """
    text = str(error)
    status, code = _number(_STATUS, text), _CODE.search(text)
    reason = _reason(error, text, status)
    if _is_redirect(text, status):
        reason += f" ({REDIRECTED})"
    message = f"the storage failed to {doing}: {reason}"
    if _is_refusal(error, text, status) and not (code and code[1] in _CODES_THAT_PASS):
        is_missing = isinstance(error, FileNotFoundError)
        refusal = ObjectMissing if is_missing else StorageRefused
        return refusal("storage_refused", message)
    return StorageUnavailable("storage_unavailable", message)


def _is_refusal(error: Exception, text: str, status: int | None) -> bool:
    if _is_redirect(text, status):
        return True
    if status is not None:
        return 400 <= status < 500 and status not in _LATER
    refused = isinstance(error, UnauthenticatedError | FileNotFoundError | ValueError)
    os_error = error.errno if isinstance(error, OSError) else None  # obstore's errors have none
    return refused or (os_error or _number(_OS_ERROR, text)) in _FOLDER_REFUSES


def _is_redirect(text: str, status: int | None) -> bool:
    """Whether the storage names another place. Only other settings help."""
    return 300 <= (status or 0) < 400 or any(words in text for words in _REDIRECTS)


def _reason(error: Exception, text: str, status: int | None) -> str:
    words = [f"HTTP {status}"] if status else []
    words += [found[1] for found in (_CODE.search(text), _MESSAGE.search(text)) if found]
    return ", ".join(words) or _without_urls(text) or type(error).__name__


def _without_urls(text: str) -> str:
    return re.sub(r"\w+://\S+", "(URL)", text.partition("\n")[0])[:300]


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(found[1]) if found else None
