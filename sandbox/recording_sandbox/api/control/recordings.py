"""Controls recordings: start one as another program, force its status, let it vanish."""

from recording_sandbox.api.call import Reply
from recording_sandbox.api.control.call import ControlBody, ControlCall, ControlRoute
from recording_sandbox.model.behaviour import Status
from recording_sandbox.model.recording import Recording, StartRequest
from recording_sandbox.model.recordings import Recordings


class ForcedStatus(ControlBody, frozen=True, kw_only=True):
    """The status that a recording is put into."""

    status: Status


class RecordingControl:
    """The paths below `/sandbox/recordings`. Each response has the recording's id and status."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    def routes(self) -> list[ControlRoute]:
        """Method, path and handler of each."""
        return [
            ("POST", "/recordings", self._start),
            ("PUT", "/recordings/{recording_id}", self._force),
            ("DELETE", "/recordings/{recording_id}", self._vanish),
        ]

    def _start(self, call: ControlCall) -> Reply:
        """Start a recording as a dashboard, another service or the meeting itself would."""
        return _describe(self._recordings.start(call.decode(StartRequest)), status=201)

    def _force(self, call: ControlCall) -> Reply:
        recording = self._find(call)
        self._recordings.force(recording, call.decode(ForcedStatus).status)
        return _describe(recording)

    def _vanish(self, call: ControlCall) -> Reply:
        recording = self._find(call)
        self._recordings.vanish(recording)
        return _describe(recording)

    def _find(self, call: ControlCall) -> Recording:
        return self._recordings.index.get(call.path["recording_id"])


def _describe(recording: Recording, *, status: int = 200) -> Reply:
    return Reply(data={"id": recording.id, "status": recording.status}, status=status)
