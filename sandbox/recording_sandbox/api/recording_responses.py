"""The JSON object of a recording."""

from uuid import uuid5

from recording_sandbox.api.responses import NAMESPACE
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock, iso
from recording_sandbox.model.files import Presigner
from recording_sandbox.model.recording import File, Recording

_ORGANIZATION = "Sandbox"


class RecordingResponses:
    """Recording objects. They depend on the clock, the behaviour and the presigned URLs."""

    def __init__(self, clock: Clock, behaviour: Behaviour, presigner: Presigner) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._presigner = presigner

    def recording(self, recording: Recording, *, listed: bool = False) -> dict[str, object]:
        """The Recording object. In a list its type is empty and its reasons are absent."""
        is_track = recording.request.kind == "track"
        body: dict[str, object] = {
            "id": recording.id,
            "meeting_id": recording.request.meeting_id,
            "session_id": recording.session.id if recording.session else None,
            "status": self._behaviour.shown_statuses.get(recording.status, recording.status),
            "output_file_name": recording.output_file_name,
            "invoked_time": iso(recording.invoked_at),
            "started_time": _time(recording.started_at),
            "stopped_time": _time(recording.stopped_at),
            "file_size": self._file_size(recording),
            **self._downloads(recording, listed=listed),
        }
        if is_track or listed:
            body["type"] = "" if listed else "TRACK"
        if recording.stopped_at is not None:
            body["recording_duration"] = int(recording.recorded_seconds(recording.stopped_at))
        if recording.error:
            body["err_message"] = recording.error
        if recording.request.storage:
            body["storage_config"] = recording.request.storage
        if not listed or self._behaviour.list_reasons:
            body |= self._reasons(recording)
        return body

    def downloads_expire_at(self, recording: Recording) -> float | None:
        """When the URLs of an uploaded recording expire; None if it has none."""
        if recording.uploaded_at is None or recording.status != "UPLOADED":
            return None
        expiry = self._signed_at(recording.uploaded_at) + self._behaviour.retention_seconds
        return max(expiry, recording.oldest_expiry)

    def revoke_urls(self, recording: Recording) -> None:
        """Let no URL that was given so far open a file. Responses have new URLs from now on."""
        expiry = self.downloads_expire_at(recording)
        if expiry is not None:
            recording.oldest_expiry = int(expiry) + 1

    def _signed_at(self, uploaded_at: float) -> float:
        """When the URLs in an answer of this moment were signed."""
        interval, now = self._behaviour.resign_seconds, self._clock.now()
        if interval is None:
            return uploaded_at
        return now - (now - uploaded_at) % interval if interval else now

    def _downloads(self, recording: Recording, *, listed: bool) -> dict[str, object]:
        expiry = self.downloads_expire_at(recording)
        available = expiry is not None and self._clock.now() >= recording.files_available_at
        if recording.request.kind == "track":
            return self._track_downloads(recording, expiry, available=available, listed=listed)
        return self._composite_downloads(recording, expiry, available=available)

    def _track_downloads(
        self, recording: Recording, expiry: float | None, *, available: bool, listed: bool
    ) -> dict[str, object]:
        has_urls = expiry is not None and (not listed or self._behaviour.list_track_urls)
        shape = self._behaviour.track_download_url if has_urls else "null"
        return {
            "download_url": self._track_urls(recording, shape, expiry if available else None),
            "download_url_expiry": _time(expiry),
            "audio_download_url": None,
        }

    def _composite_downloads(
        self, recording: Recording, expiry: float | None, *, available: bool
    ) -> dict[str, object]:
        in_bucket = recording.request.bucket_enabled
        video = recording.files[0] if recording.files else None
        url_expiry = expiry if available and in_bucket else None
        now = self._clock.now()
        video_expiry = url_expiry if now >= recording.urls_available_at else None
        audio_expiry = url_expiry if now >= recording.audio_available_at else None
        return {
            "download_url": self._url(recording, video, video_expiry),
            "download_url_expiry": _time(expiry) if in_bucket else None,
            "audio_download_url": self._url(recording, recording.audio_file, audio_expiry),
        }

    def _track_urls(self, recording: Recording, shape: str, expiry: float | None) -> object:
        """`download_url` of a track recording in one of the shapes that were observed.

        `expiry` is None while there are no files.
        """
        urls: dict[str, dict[str, object]] = {}
        now = self._clock.now()
        url_expiry = expiry if now >= recording.urls_available_at else None
        for file in recording.track_files_at(now) if expiry is not None else ():
            urls[file.name] = {"download_url": self._url(recording, file, url_expiry)}
            if shape == "links":
                urls[file.name]["peer_id"] = file.peer_id
                urls[file.name]["custom_participant_id"] = file.custom_participant_id
        layers = [{"layer_name": "default", "download_urls": urls}] if urls else []
        match shape:
            case "layers":
                return layers
            case "links":
                return {"links": layers}
            case "string":
                return next((url["download_url"] for url in urls.values()), None)
            case "empty_list":
                return []
            case "empty_links":
                return {"links": []}
            case _:
                return None

    def _url(self, recording: Recording, file: File | None, expiry: float | None) -> str | None:
        if file is None or expiry is None:
            return None
        return self._presigner.url(recording.id, file.name, expiry)

    def _file_size(self, recording: Recording) -> int | None:
        if recording.request.kind == "track":
            return 0
        return recording.file_size if recording.status == "UPLOADED" else None

    def _reasons(self, recording: Recording) -> dict[str, object]:
        caller = {
            "type": recording.request.caller,
            "name": _ORGANIZATION,
            "user_Id": str(uuid5(NAMESPACE, recording.request.app_id)),
        }
        start = {"reason": recording.request.reason, "caller": caller}
        reasons: dict[str, object] = {"start_reason": start}
        if recording.stop_reason:
            stop: dict[str, object] = {"reason": recording.stop_reason}
            reasons["stop_reason"] = {**stop, "caller": caller} if recording.stop_caller else stop
        return reasons


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)
