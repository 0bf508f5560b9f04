"""Credentials for S3 by botocore's chain: variables, files and profiles, workload identities.

obstore's own chain knows neither files nor profiles. botocore also lists abandoned uploads, so both
use the same credentials.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import botocore.credentials
import botocore.session

if TYPE_CHECKING:
    from obstore.store import S3Credential

LOOKED_UP_EVERY: Final = timedelta(minutes=5)
_KEPT_FOR: Final = timedelta(minutes=10)
"""obstore asks again when a credential is valid for less than five minutes."""


class S3Credentials:
    """Gives obstore the current credentials. Its threads call it, and wait for it.

    Credentials that expire renew themselves. Those of a file are read again every few minutes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: botocore.credentials.Credentials = None
        self._read_at = datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> "S3Credential":
        """The credentials. Raises LookupError if there are none."""
        now = datetime.now(UTC)
        frozen = self._current(now).get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": now + _KEPT_FOR,
        }

    def _current(self, now: datetime) -> botocore.credentials.Credentials:
        renews = isinstance(self._credentials, botocore.credentials.RefreshableCredentials)
        with self._lock:
            if not renews and now - self._read_at >= LOOKED_UP_EVERY:
                self._credentials = botocore.session.Session().get_credentials()
                self._read_at = now
            if self._credentials is None:
                self._read_at = datetime.min.replace(tzinfo=UTC)
                raise LookupError(
                    "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
                    " AWS_PROFILE, or a workload identity"
                )
            return self._credentials
