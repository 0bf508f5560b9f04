"""The files of a recording: which there are, their names, and their presigned URLs."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from recording_sandbox.model.behaviour import Behaviour, FileNameForm
from recording_sandbox.model.meeting import Presence
from recording_sandbox.model.recording import File, Recording

TRACK_TEMPLATE = (
    "{{file_name_prefix}}_{{user_id}}_{{peer_id}}_{{stream_kind}}_{{media_kind}}_{{date_time}}.webm"
)


_TAILS: dict[FileNameForm, str] = {
    "epoch_ms": "peer_audio_{milliseconds}",
    "iso": "peer_audio_{iso}",
    "screen_share": "screen_share_audio_{milliseconds}",
    "part": "peer_audio_{milliseconds}_2",
}


def track_files(recording: Recording, until: float, behaviour: Behaviour) -> tuple[File, ...]:
    """One file for each stay that was recorded, at least in part, and was not muted.

    `user_ids` are ids of participants. As in the real API, a list of custom ids matches no
    participant, and there is no file at all.
    """
    spans = recording.spans(until)
    allowed = recording.request.user_ids
    presences = recording.session.presences if recording.session else []
    files = []
    for presence in presences:
        if presence.mute or (allowed is not None and presence.participant.id not in allowed):
            continue
        overlaps = [_overlap(span, presence, until) for span in spans]
        recorded = [(start, end) for start, end in overlaps if end > start]
        seconds = sum(end - start for start, end in recorded)
        if seconds > 0:
            begin = min(start for start, _ in recorded)
            files.append(_track_file(recording, presence, begin, seconds, behaviour))
    return tuple(files)


def composite_file(recording: Recording, suffix: str, until: float, behaviour: Behaviour) -> File:
    """The one video or audio file of all participants."""
    stem = recording.output_file_name.rsplit(".", 1)[0]
    return File(
        name=f"{stem}.{suffix}",
        seconds=recording.recorded_seconds(until),
        size_bytes=behaviour.file_bytes,
        live=behaviour.live_webm,
    )


class Presigner:
    """Makes and checks URLs that are valid for one file until their expiry."""

    def __init__(self, key: bytes, root_url: Callable[[], str]) -> None:
        self._key = key
        self._root_url = root_url

    def url(self, recording_id: str, name: str, expires: float) -> str:
        """The presigned URL. `expires` is epoch seconds of sandbox time."""
        until = int(expires)
        path = f"{recording_id}/{quote(name)}"
        signature = self._signature(recording_id, name, until)
        return f"{self._root_url()}/files/{path}?X-Expires={until}&X-Signature={signature}"

    def check(
        self, recording_id: str, name: str, expires: str, signature: str, now: float
    ) -> str | None:
        """The error code of object stores if the request is invalid, else None."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            return "AuthorizationQueryParametersError"
        expected = self._signature(recording_id, name, int(expires))
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return "SignatureDoesNotMatch"
        return "ExpiredToken" if now >= int(expires) else None

    def _signature(self, recording_id: str, name: str, expires: int) -> str:
        text = f"{recording_id}\n{name}\n{expires}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def _overlap(span: tuple[float, float], presence: Presence, until: float) -> tuple[float, float]:
    left_at = until if presence.left_at is None else presence.left_at
    return max(span[0], presence.joined_at), min(span[1], left_at)


def _track_file(
    recording: Recording, presence: Presence, begin: float, seconds: float, behaviour: Behaviour
) -> File:
    person = presence.participant
    prefix = recording.request.prefix or "default"
    tail = _TAILS[behaviour.track_file_names].format(
        milliseconds=f"{round(begin * 1000):013d}",
        iso=datetime.fromtimestamp(begin, UTC).strftime("%Y-%m-%dT%H-%M-%SZ"),
    )
    return File(
        name=f"{prefix}_{person.id}_{presence.peer_id}_{tail}.webm",
        seconds=seconds,
        size_bytes=behaviour.file_bytes,
        live=behaviour.live_webm,
        user_id=person.id,
        peer_id=presence.peer_id,
        custom_participant_id=person.custom_participant_id,
    )
