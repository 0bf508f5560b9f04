"""Downloads of recorded files by presigned URL."""

from aiohttp import web

from recording_sandbox.api.state import SandboxState
from recording_sandbox.model import media
from recording_sandbox.model.log_entries import FileServedEntry


class FileDownloads:
    """Serves files as object stores do: the URL is the permission, and a second one is an error."""

    def __init__(self, state: SandboxState) -> None:
        self._clock = state.clock
        self._presigner = state.presigner
        self._recordings = state.recordings
        self._request_log = state.request_log

    async def serve(self, request: web.Request) -> web.Response:
        """GET /files/{recording_id}/{name}: 200, 400, 403 or 404. Each request is logged."""
        self._clock.run_due()
        recording_id, name = request.match_info["recording_id"], request.match_info["name"]
        status, reason = self._check(request, recording_id, name)
        self._request_log.add(
            FileServedEntry(
                at=self._clock.now(), recording_id=recording_id, name=name, status=status
            )
        )
        recording = self._recordings.index.find(recording_id)
        for file in recording.all_files if recording and not reason else ():
            if file.name == name:
                kind = media.TYPES[media.suffix(name)]
                return web.Response(body=media.content(name, file.seconds), content_type=kind)
        text = f"<Error><Code>{reason or 'NoSuchKey'}</Code></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    def _check(self, request: web.Request, recording_id: str, name: str) -> tuple[int, str | None]:
        """The status, and the error code of object stores unless the status is 200."""
        if "Authorization" in request.headers:
            return 400, "InvalidArgument"
        error = self._presigner.check(
            recording_id,
            name,
            request.query.get("X-Expires", ""),
            request.query.get("X-Signature", ""),
            self._clock.now(),
        )
        if error:
            return 403, error
        recording = self._recordings.index.find(recording_id)
        names = [file.name for file in recording.all_files] if recording else []
        return (200, None) if name in names else (404, "NoSuchKey")
