"""Signed notices to whoever subscribed, delivered like the real ones: unordered and repeatedly."""

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.answers import Answers
from sandbox.clock import Clock, iso
from sandbox.faults import Faults
from sandbox.ledger import Ledger, WebhookSent
from sandbox.meetings import MeetingEvent, Session
from sandbox.recording import Recording
from sandbox.switches import Switches
from sandbox.webhook_operations import Webhook, WebhookOperations

_LANES = 16  # Deliveries at a time; those about one recording share a lane and keep their order.


class Signer:
    """The key that webhooks are signed with. Made when first needed, replaced by `rotate`."""

    def __init__(self) -> None:
        self._key: rsa.RSAPrivateKey | None = None

    def rotate(self) -> None:
        """Sign with a new key from now on; the published one is the new one at once."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public_pem(self) -> str:
        """The public key as PEM (SubjectPublicKeyInfo)."""
        public = self._private().public_key()
        return public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def signature(self, body: bytes) -> str:
        """Base64 of RSASSA-PKCS1-v1_5 with SHA-256 over the bytes."""
        signed = self._private().sign(body, padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signed).decode()

    def _private(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            self.rotate()
        assert self._key is not None  # noqa: S101 -- for the type checker
        return self._key


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell one subscriber; what the body says is settled when it happens."""

    webhook: Webhook
    event: str
    body: bytes
    recording_id: str | None = None
    status: str | None = None
    uuid: str = ""


class Webhooks:
    """Turns what happens into notices, and delivers them while `run` runs."""

    def __init__(
        self,
        clock: Clock,
        switches: Switches,
        faults: Faults,
        ledger: Ledger,
        subscriptions: WebhookOperations,
        worded: Answers,
    ) -> None:
        self.signer = Signer()
        self._clock = clock
        self._switches = switches
        self._faults = faults
        self._ledger = ledger
        self._subscriptions = subscriptions
        self._worded = worded
        self._lanes: list[asyncio.Queue[Notice]] = [asyncio.Queue() for _ in range(_LANES)]
        self._held: Notice | None = None
        self._later: set[asyncio.Task[None]] = set()
        self._forger = Signer()

    def on_recording(self, recording: Recording) -> None:
        """Its status has changed."""
        if recording.status not in self._switches.webhook_statuses:
            return
        for webhook in self._subscriptions.subscribed(
            recording.request.app_id, "recording.statusUpdate"
        ):
            payload = (
                _dyte_payload(recording)
                if self._switches.webhook_generation == "dyte"
                else self._payload(recording)
            )
            notice = Notice(
                webhook=webhook,
                event="recording.statusUpdate",
                body=msgspec.json.encode(payload),
                recording_id=recording.id,
                status=recording.status,
                uuid=str(uuid4()),
            )
            self._hand_over(notice, meeting_id=recording.request.meeting_id)

    def on_meeting(self, event: MeetingEvent) -> None:
        """Somebody came or went, a session began or ended."""
        for webhook in self._subscriptions.subscribed(None, event.name):
            body = msgspec.json.encode(_meeting_payload(event, webhook.app_id))
            notice = Notice(webhook=webhook, event=event.name, body=body, uuid=str(uuid4()))
            self._hand_over(notice, meeting_id=event.meeting.id)

    async def run(self) -> None:
        """Deliver until cancelled."""
        timeout = aiohttp.ClientTimeout(total=self._switches.real_webhook_timeout_seconds)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for number, lane in enumerate(self._lanes):
                        group.create_task(self._drain(lane, client), name=f"webhooks-{number}")
            finally:
                for task in self._later:
                    task.cancel()
                await asyncio.gather(*self._later, return_exceptions=True)

    def _hand_over(self, notice: Notice, *, meeting_id: str) -> None:
        """Meet the faults that strike before anything is sent, then queue."""

        def struck(kind: str) -> float | None:
            fault = self._faults.take(
                {kind},
                operation=notice.event,
                meeting_id=meeting_id,
                recording_id=notice.recording_id,
            )
            return None if fault is None else (fault.seconds or 0.0)

        if struck("webhook_drop") is not None:
            self._note(notice, attempt=0, answer=None, fault="webhook_drop")
            return
        if struck("webhook_reorder") is not None and self._held is None:
            self._held = notice
            return
        if struck("webhook_forge") is not None:
            self._queue(msgspec.structs.replace(notice, uuid=f"forged-{notice.uuid}"))
        delay = struck("webhook_delay")
        if delay is None:
            self._queue(notice)
        else:
            self._do_later(delay or 1.0, lambda: self._queue(notice))
        if struck("webhook_duplicate") is not None:
            self._queue(notice)
        if self._held is not None:
            held, self._held = self._held, None
            self._queue(held)

    def _queue(self, notice: Notice) -> None:
        lane = hash(notice.recording_id or notice.uuid) % _LANES
        self._lanes[lane].put_nowait(notice)

    async def _drain(self, lane: asyncio.Queue[Notice], client: aiohttp.ClientSession) -> None:
        while True:
            await self._attempt(await lane.get(), client, attempt=1)

    async def _attempt(self, notice: Notice, client: aiohttp.ClientSession, attempt: int) -> None:
        answer = await self._send(notice, client)
        forged = "webhook_forge" if notice.uuid.startswith("forged-") else None
        self._note(notice, attempt=attempt, answer=answer, fault=forged)
        refused_for_good = answer is not None and answer < 500
        if refused_for_good or forged or attempt >= self._switches.webhook_attempts:
            return
        again = notice
        if not self._switches.webhook_retry_keeps_uuid:
            again = msgspec.structs.replace(notice, uuid=str(uuid4()))
        pause = self._switches.real_webhook_retry_seconds * 2 ** (attempt - 1)

        async def retry() -> None:
            await asyncio.sleep(pause)
            await self._attempt(again, client, attempt + 1)

        self._keep(asyncio.create_task(retry(), name=f"webhook-retry-{again.uuid}"))

    async def _send(self, notice: Notice, client: aiohttp.ClientSession) -> int | None:
        signer = self._forger if notice.uuid.startswith("forged-") else self.signer
        headers = {
            "Content-Type": "application/json",
            "rtk-signature": signer.signature(notice.body),
            "rtk-uuid": notice.uuid,
            "rtk-webhook-id": notice.webhook.id,
        }
        try:
            async with client.post(
                notice.webhook.url, data=notice.body, headers=headers, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def _do_later(self, seconds: float, action: Callable[[], None]) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            action()

        self._keep(asyncio.create_task(later(), name="webhook-delay"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _note(self, notice: Notice, *, attempt: int, answer: int | None, fault: str | None) -> None:
        self._ledger.add(
            WebhookSent(
                at=self._clock.now(),
                webhook_id=notice.webhook.id,
                event=notice.event,
                uuid=notice.uuid,
                attempt=attempt,
                answer=answer,
                recording_id=notice.recording_id,
                status=notice.status,
                fault=fault,
            )
        )

    def _payload(self, recording: Recording) -> dict[str, object]:
        worded = self._worded.recording(recording)
        with_urls = recording.request.kind == "composite" or self._switches.webhook_track_urls
        body: dict[str, object] = {
            "id": recording.id,
            "recordingId": recording.id,
            "status": recording.status,
            "downloadUrl": worded["download_url"] if with_urls else None,
            "audioDownloadUrl": worded["audio_download_url"] if with_urls else None,
            "downloadUrlExpiry": worded["download_url_expiry"],
            "startedTime": worded["started_time"],
            "stoppedTime": worded["stopped_time"],
            "outputFileName": recording.output_file_name,
            "meetingId": recording.request.meeting_id,
            "organizationId": recording.request.app_id,
            "roomUUID": worded["session_id"],
        }
        if worded["file_size"] is not None:
            body["fileSize"] = str(worded["file_size"])
        if recording.stopped_at is not None:
            body["recordingDuration"] = worded["recording_duration"]
        if recording.error:
            body["errMessage"] = recording.error
        return {
            "event": "recording.statusUpdate",
            "recording": body,
            "meeting": {
                "id": recording.request.meeting_id,
                "roomName": recording.request.meeting_id,
                **_session_members(recording.session, recording.request.app_id),
            },
        }


def _dyte_payload(recording: Recording) -> dict[str, object]:
    """The predecessor's wording: other times, numbers for sizes, members missing on the way."""
    body: dict[str, object] = {
        "recordingId": recording.id,
        "id": recording.id,
        "status": recording.status,
        "startedTime": _dyte_time(recording.started_at),
        "stoppedTime": _dyte_time(recording.stopped_at),
        "organizationId": recording.request.app_id,
        "roomUUID": recording.session.id if recording.session else None,
    }
    meeting: dict[str, object] = {"id": recording.request.meeting_id, "status": "LIVE"}
    if recording.stop_reason:
        body["stopReason"] = (
            f"{{'reason':'{recording.stop_reason}','caller':{{'type':'INTERNAL'}}}}"
        )
    if recording.status != "UPLOADING":
        body["meetingId"] = recording.request.meeting_id
        body["outputFileName"] = recording.output_file_name
        meeting["sessionId"] = recording.session.id if recording.session else None
    if recording.status == "UPLOADED":
        body["fileSize"] = recording.file_size or 0
    return {"event": "recording.statusUpdate", "recording": body, "meeting": meeting}


def _meeting_payload(event: MeetingEvent, app_id: str) -> dict[str, object]:
    payload: dict[str, object] = {
        "event": event.name,
        "meeting": {
            "id": event.meeting.id,
            "roomName": event.meeting.id,
            **_session_members(event.session, app_id),
        },
    }
    if event.presence is not None:
        person = event.presence.participant
        payload["participant"] = {
            "peerId": event.presence.peer_id,
            "userDisplayName": person.name,
            "customParticipantId": person.custom_participant_id,
            "joinedAt": iso(event.presence.joined_at),
            "leftAt": _iso(event.presence.left_at),
        }
    if event.reason is not None:
        payload["reason"] = event.reason
    return payload


def _session_members(session: Session | None, app_id: str) -> dict[str, object]:
    """What a notice says of the meeting; its status is LIVE even when it is over."""
    owner = {"id": app_id, "name": "Sandbox"}
    if session is None:
        return {"status": "LIVE", "organizedBy": owner}
    return {
        "sessionId": session.id,
        "title": session.title,
        "status": "LIVE",
        "createdAt": iso(session.started_at),
        "startedAt": iso(session.started_at),
        "endedAt": _iso(session.ended_at),
        "organizedBy": owner,
    }


def _iso(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


def _dyte_time(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")
