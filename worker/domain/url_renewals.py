"""Which files have a new URL since their last published URL. Pure.

A presigned URL permits the download, so only its hash is kept. An answer of the API may sign every
URL anew. Therefore only a requested observation (`renews_urls`) publishes new URLs.

    the URL of a file                                  its event
    the same as the one that was published last        none
    another one, which expires earlier                 none, because it has no advantage
    another one, which expires at the same time        `file_url_renewed`: the API may report the
                                                       end of the file, not that of the signature
    another one, which expires later                   `file_url_renewed`
    another one, and one of the two has no expiry      `file_url_renewed`
    none, or the file was not announced before         none
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import msgspec

from worker.domain.recording import Observation
from worker.domain.track_files import TrackFile


class PublishedUrl(msgspec.Struct, frozen=True):
    """The last published URL of a file. Both are None if it is not known."""

    url_hash: str | None = None
    expires_at: float | None = None


def url_hash(url: str | None) -> str | None:
    """The hash that the worker stores of a URL."""
    return None if url is None else sha256(url.encode(errors="replace")).hexdigest()


def renewed_files(
    observation: Observation, published: Mapping[str, PublishedUrl]
) -> tuple[TrackFile, ...]:
    """The announced files whose URL must be published again. `published` is by file name."""
    if not observation.renews_urls:
        return ()
    expiry = observation.snapshot.download_url_expiry
    return tuple(
        file
        for file in observation.files or ()
        if (known := published.get(file.file_name)) is not None
        and _is_renewed(file.download_url, expiry, known)
    )


def _is_renewed(url: str | None, expiry: datetime | None, known: PublishedUrl) -> bool:
    if url is None or url_hash(url) == known.url_hash:
        return False
    if expiry is None or known.expires_at is None:
        return True
    return expiry.timestamp() >= known.expires_at
