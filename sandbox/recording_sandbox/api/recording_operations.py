"""The operations on single recordings: start, read, change."""

import msgspec

from recording_sandbox.api import request_bodies as bodies
from recording_sandbox.api import validation
from recording_sandbox.api.call import Call, Reply
from recording_sandbox.api.recording_responses import RecordingResponses
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.errors import NotFound
from recording_sandbox.model.recording import Recording, StartRequest
from recording_sandbox.model.recordings import Recordings

_PUBLIC_STORAGE_FIELDS = ("type", "bucket", "region", "path", "host", "auth_method")


class RecordingOperations:
    """Handlers of the paths below `/recordings`, except for the list."""

    def __init__(
        self, behaviour: Behaviour, recordings: Recordings, responses: RecordingResponses
    ) -> None:
        self._behaviour = behaviour
        self._recordings = recordings
        self._responses = responses

    def start_composite(self, call: Call) -> Reply:
        """POST /recordings."""
        body = validation.decode(call.body, bodies.StartComposite)
        validation.check_composite(body)
        recording = self._recordings.start(_composite_request(call.app_id, body))
        call.recording_id = recording.id
        return Reply(data=self._responses.recording(recording))

    def start_track(self, call: Call) -> Reply:
        """POST /recordings/track."""
        body = validation.decode(call.body, bodies.StartTrack)
        recording = self._recordings.start(_track_request(call.app_id, body))
        call.recording_id = recording.id
        data = self._responses.recording(recording)
        return Reply(data={"recording": data} if self._behaviour.track_start_nested else data)

    def get(self, call: Call) -> Reply:
        """GET /recordings/{recording_id}."""
        return Reply(data=self._responses.recording(self._find(call)))

    def change(self, call: Call) -> Reply:
        """PUT /recordings/{recording_id}."""
        recording = self._find(call)
        action = validation.decode(call.body, bodies.ChangeRecording).action
        changes = {
            "stop": self._recordings.stop,
            "pause": self._recordings.pause,
            "resume": self._recordings.resume,
        }
        changes[action](recording)
        return Reply(data=self._responses.recording(recording))

    def active(self, call: Call) -> Reply:
        """GET /recordings/active-recording/{meeting_id}: the latest one if several are live."""
        for recording in reversed(self._recordings.index.of_meeting(call.path["meeting_id"])):
            in_app = recording.request.app_id == call.app_id
            if in_app and recording.live and not recording.vanished:
                return Reply(data=self._responses.recording(recording))
        raise NotFound("active recording")

    def _find(self, call: Call) -> Recording:
        recording_id = validation.uuid("recording_id", call.path["recording_id"])
        recording = self._recordings.index.get(recording_id, app_id=call.app_id)
        call.meeting_id = recording.request.meeting_id
        return recording


def _track_request(app_id: str, body: bodies.StartTrack) -> StartRequest:
    return StartRequest(
        kind="track",
        app_id=app_id,
        meeting_id=str(body.meeting_id),
        prefix=body.layers.default.file_name_prefix,
        user_ids=body.user_ids,
        video_suffix=None,
        audio_suffix=None,
    )


def _composite_request(app_id: str, body: bodies.StartComposite) -> StartRequest:
    video, audio = body.video_config, body.audio_config
    return StartRequest(
        kind="composite",
        app_id=app_id,
        meeting_id=str(body.meeting_id),
        prefix=body.file_name_prefix,
        max_seconds=body.max_seconds,
        allow_multiple=body.allow_multiple_recordings,
        video_suffix=("mp4" if video.codec == "H264" else "webm") if video.export_file else None,
        audio_suffix=audio.codec.lower() if audio.export_file else None,
        bucket_enabled=body.realtimekit_bucket_config.enabled,
        storage=_storage_without_secrets(body.storage_config),
        streams=body.rtmp_out_config is not None,
    )


def _storage_without_secrets(storage: bodies.Storage | None) -> dict[str, object] | None:
    if storage is None:
        return None
    fields = msgspec.structs.asdict(storage)
    return {name: fields[name] for name in _PUBLIC_STORAGE_FIELDS if fields[name] is not None}
