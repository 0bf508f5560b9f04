"""Sends webhooks to the workers: in order, or late, doubled, reordered, lost and forged."""

import asyncio
import base64
import json
import random
import time
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.oracle import views
from tests.oracle.behaviour import Behaviour
from tests.oracle.truth import Delivery, Meeting, Recording, Truth

ATTEMPTS: Final = 3
RETRY_SECONDS: Final = 0.5
TIMEOUT_SECONDS: Final = 3.0


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


class WebhookSender:
    """Delivers to one of `ports` at a time, as a load balancer does."""

    def __init__(
        self, behaviour: Behaviour, dice: random.Random, apps: Mapping[str, str | None]
    ) -> None:
        self.truth = Truth()
        self._apps = apps
        self.ports: dict[int, int] = {}
        """The HTTP port of each replica."""
        self._behaviour = behaviour
        self._dice = dice
        self._tasks: set[asyncio.Task[None]] = set()

    def key_document(self) -> dict[str, Any]:
        """The document with the public key."""
        pem = (
            _key()
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return {"success": True, "data": {"publicKey": pem.decode()}, "message": ""}

    def tell(self, recording: Recording) -> None:
        """Send the current status of a recording."""
        if self._behaviour.webhooks == "none":
            return
        body = self._status_body(recording, recording.status)
        if self._behaviour.webhooks == "good":
            self._send(body, recording.app, recording, recording.status)
            return
        if self._dice.random() < 0.25:
            return
        for _ in range(self._dice.choice((1, 1, 2))):
            delay = self._dice.choice((0.0, 0.2, 1.0))
            self._send(body, recording.app, recording, recording.status, seconds=delay)
        if self._dice.random() < 0.15:
            forged = self._status_body(recording, "ERRORED")
            self._send(forged, recording.app, recording, "ERRORED", forged=True)

    def tell_session(self, meeting: Meeting) -> None:
        """Send `meeting.started`."""
        if self._behaviour.webhooks != "none" and self._dice.random() < 0.8:
            body = {"event": "meeting.started", "meeting": _meeting_body(meeting)}
            self._send(body, meeting.app, None, None)

    async def close(self) -> None:
        """Give up what is not delivered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send(
        self,
        body: dict[str, Any],
        app: str,
        recording: Recording | None,
        status: str | None,
        *,
        seconds: float = 0.0,
        forged: bool = False,
    ) -> None:
        named = None if recording is None else recording.id
        name = self._apps[app]
        path = "/webhooks/realtimekit" + (f"?app={name}" if name else "")
        task = asyncio.create_task(self._deliver(path, body, named, status, seconds, forged))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(
        self,
        path: str,
        body: dict[str, Any],
        named: str | None,
        status: str | None,
        seconds: float,
        forged: bool,
    ) -> None:
        await asyncio.sleep(seconds)
        content = json.dumps(body).encode()
        signed = content + b" " if forged else content
        signature = _key().sign(signed, padding.PKCS1v15(), hashes.SHA256())
        for _ in range(ATTEMPTS):
            if not self.ports:
                return
            replica = self._dice.choice(sorted(self.ports))
            url = f"http://127.0.0.1:{self.ports[replica]}{path}"
            answer = await _post(url, content, base64.b64encode(signature).decode())
            self.truth.deliveries.append(
                Delivery(time.time(), replica, named, status, forged, answer)
            )
            if answer is not None and answer < 500:
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _status_body(self, recording: Recording, status: str) -> dict[str, Any]:
        row = views.recording_json(recording, time.time(), self._behaviour)
        told: dict[str, Any] = {"id": recording.id, "recordingId": recording.id, "status": status}
        if self._behaviour.short_webhooks:
            return {"event": "recording.statusUpdate", "recording": told}
        told |= {
            "downloadUrl": row["download_url"] if recording.kind == "composite" else None,
            "audioDownloadUrl": row["audio_download_url"],
            "downloadUrlExpiry": row["download_url_expiry"],
            "startedTime": row["started_time"],
            "stoppedTime": row["stopped_time"],
            "fileSize": str(row["file_size"]),
            "outputFileName": row["output_file_name"],
            "meetingId": recording.meeting.id,
            "recordingDuration": row["recording_duration"],
            "organizationId": recording.app,
            "roomUUID": recording.meeting.session_id,
        }
        meeting = _meeting_body(recording.meeting)
        return {"event": "recording.statusUpdate", "recording": told, "meeting": meeting}


def _meeting_body(meeting: Meeting) -> dict[str, Any]:
    return {
        "id": meeting.id,
        "sessionId": meeting.session_id,
        "title": "A meeting",
        "roomName": meeting.id,
        "status": "LIVE",
        "createdAt": views.instant(meeting.began),
        "startedAt": views.instant(meeting.began),
        "organizedBy": {"id": meeting.app, "name": "Example organization"},
    }


async def _post(url: str, content: bytes, signature: str) -> int | None:
    headers = {
        "Content-Type": "application/json",
        "rtk-signature": signature,
        "rtk-uuid": str(uuid.uuid4()),
        "rtk-webhook-id": str(uuid.uuid4()),
    }
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=content, headers=headers) as response,
        ):
            return response.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
