"""Downloads of recorded files by presigned URL."""

from collections.abc import Collection

from aiohttp import web

from recording_sandbox.api.file_body import send_body
from recording_sandbox.api.ranges import wanted_range
from recording_sandbox.api.state import SandboxState
from recording_sandbox.model import media
from recording_sandbox.model.faults import Fault
from recording_sandbox.model.file_content import FileContent, file_content
from recording_sandbox.model.log_entries import FileServedEntry
from recording_sandbox.model.recording import File, Recording

DOWNLOAD_PATH = "/files/{recording_id}/{name}"
_BODY_KINDS = ("download_slow", "download_stall", "download_truncate", "download_reset")
_ERROR_CODES = {403: "AccessDenied", 404: "NoSuchKey", 503: "SlowDown"}


class FileDownloads:
    """Serves files as object stores do: the URL is the permission, and a second one is an error."""

    def __init__(self, state: SandboxState) -> None:
        self._behaviour = state.behaviour
        self._clock = state.clock
        self._faults = state.faults
        self._presigner = state.presigner
        self._recordings = state.recordings
        self._request_log = state.request_log
        self._responses = state.recording_responses
        self._versions: dict[tuple[str, str], int] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """GET /files/{recording_id}/{name}: 200, 206, 302, 400, 403, 404, 412 or 416. Logged."""
        self._clock.run_due()
        recording_id, name = request.match_info["recording_id"], request.match_info["name"]
        recording = self._recordings.index.find(recording_id)
        if refused := self._check(request, recording, name):
            return self._refuse(request, *refused)
        file = _find(recording, name)
        if recording is None or file is None:
            return self._refuse(request, 404, "NoSuchKey")
        if fault := self._trigger(recording, name, ("download_expire",)):
            self._responses.revoke_urls(recording)
            return self._refuse(request, 403, "ExpiredToken", fault)
        if fault := self._trigger(recording, name, ("download_refuse",)):
            code = _ERROR_CODES.get(fault.status, "InternalError")
            return self._refuse(request, fault.status, code, fault)
        if fault := self._trigger(recording, name, ("download_redirect",)):
            self._log(request, 302, fault=fault)
            location = fault.location or str(request.url)
            return web.Response(status=302, headers={"Location": location})
        return await self._send(request, recording, file)

    async def _send(
        self, request: web.Request, recording: Recording, file: File
    ) -> web.StreamResponse:
        content = self._content(recording, file)
        fault = self._trigger(recording, file.name, _BODY_KINDS)
        part = wanted_range(request, content, honoured=self._behaviour.download_ranges)
        self._log(request, part.status, part.start, fault)
        if part.status in (412, 416):
            return _error(part.status, part.error, part.headers)
        headers = {
            "Content-Type": media.TYPES[media.suffix(file.name)],
            "ETag": content.etag,
            **part.headers,
        }
        response = web.StreamResponse(status=part.status, headers=headers)
        if self._behaviour.download_lengths:
            response.content_length = part.stop - part.start
        return await send_body(request, response, content, part, fault)

    def _content(self, recording: Recording, file: File) -> FileContent:
        """The bytes of the file, which a fault may have replaced since the last request."""
        key = recording.id, file.name
        if self._trigger(recording, file.name, ("download_change",)):
            self._versions[key] = self._versions.get(key, 0) + 1
        return file_content(file, self._versions.get(key, 0))

    def _check(
        self, request: web.Request, recording: Recording | None, name: str
    ) -> tuple[int, str] | None:
        """Status and error code of object stores if the request may not have the file."""
        if "Authorization" in request.headers:
            return 400, "InvalidArgument"
        if request.method != "GET":  # The signature includes the method.
            return 403, "SignatureDoesNotMatch"
        expires, signature = request.query.get("X-Expires", ""), request.query.get("X-Signature")
        recording_id = request.match_info["recording_id"]
        now = self._clock.now()
        if error := self._presigner.check(recording_id, name, expires, signature or "", now):
            return 403, error
        revoked = recording is not None and int(expires) < recording.oldest_expiry
        return (403, "ExpiredToken") if revoked else None

    def _refuse(
        self, request: web.Request, status: int, code: str, fault: Fault | None = None
    ) -> web.Response:
        self._log(request, status, fault=fault)
        return _error(status, code, {})

    def _trigger(self, recording: Recording, name: str, kinds: Collection[str]) -> Fault | None:
        meeting_id = recording.request.meeting_id
        return self._faults.trigger(
            kinds, operation=name, meeting_id=meeting_id, recording_id=recording.id
        )

    def _log(
        self,
        request: web.Request,
        status: int,
        first_byte: int = 0,
        fault: Fault | None = None,
    ) -> None:
        self._request_log.add(
            FileServedEntry(
                at=self._clock.now(),
                recording_id=request.match_info["recording_id"],
                name=request.match_info["name"],
                status=status,
                first_byte=first_byte,
                fault=fault.kind if fault else None,
            )
        )


def _find(recording: Recording | None, name: str) -> File | None:
    files = recording.all_files if recording else ()
    return next((file for file in files if file.name == name), None)


def _error(status: int, code: str, headers: dict[str, str]) -> web.Response:
    text = f"<Error><Code>{code}</Code></Error>"
    return web.Response(status=status, text=text, content_type="application/xml", headers=headers)
