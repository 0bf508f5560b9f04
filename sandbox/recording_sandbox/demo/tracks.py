"""The track files: downloaded by the URLs in the events, read, and printed as a table."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import aiohttp
import msgspec

from recording_sandbox.demo.scenario import deduplicated
from recording_sandbox.demo.tables import print_table, short_id
from recording_sandbox.model.webm import duration_seconds
from recording_schemas import CloudEvent, FileReady

COLUMNS = ("owner", "user_id", "stay", "seconds", "bytes", "URL expires (UTC)")
_TIMEOUT = aiohttp.ClientTimeout(total=20)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One downloaded file. `stay` is the participant's stay, from 1 to `stays`."""

    custom_participant_id: str | None
    user_id: str | None
    stay: int
    stays: int
    file_name: str
    seconds: float
    size_bytes: int
    sha256: str
    url_expiry: datetime | None


async def download(events: list[CloudEvent]) -> list[Track]:
    """All files of the events, ordered by participant and time.

    Raises:
        aiohttp.ClientError: if a file cannot be downloaded.
        ValueError: if a file is not WebM, or its event has no URL.
    """
    files = [event.data for event in deduplicated(events) if isinstance(event.data, FileReady)]
    files.sort(key=lambda file: (file.custom_participant_id or "", file.recorded_at or _EARLIEST))
    stays = Counter(file.user_id for file in files)
    stay_of: Counter[str | None] = Counter()
    tracks = []
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:
        for file in files:
            stay_of[file.user_id] += 1
            data = await _read(http, file)
            tracks.append(_track(file, data, stay_of[file.user_id], stays[file.user_id]))
    return tracks


def _track(file: FileReady, data: bytes, stay: int, stays: int) -> Track:
    return Track(
        custom_participant_id=file.custom_participant_id,
        user_id=file.user_id,
        stay=stay,
        stays=stays,
        file_name=file.file_name,
        seconds=duration_seconds(data),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        url_expiry=file.download_url_expiry,
    )


async def _read(http: aiohttp.ClientSession, file: FileReady) -> bytes:
    if file.download_url is None:
        raise ValueError(f"{file.file_name} has no download_url in its event")
    async with http.get(file.download_url) as response:
        response.raise_for_status()
        return await response.read()


def print_tracks(tracks: Sequence[Track]) -> None:
    """Print the files as a table."""
    print_table(COLUMNS, [_row(track) for track in tracks])


def _row(track: Track) -> tuple[str, ...]:
    stay = "whole" if track.stays == 1 else f"{track.stay}/{track.stays} rejoined"
    expiry = track.url_expiry
    return (
        track.custom_participant_id or "?",
        short_id(track.user_id),
        stay,
        f"{track.seconds:.1f}",
        f"{track.size_bytes:,}",
        f"{expiry:%Y-%m-%d %H:%M}" if expiry else "?",
    )
